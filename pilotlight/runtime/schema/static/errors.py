"""The refusal of a predictor by Cog's build tool."""

from __future__ import annotations

from pilotlight.errors import ConfigError


class BuildRefusedError(ConfigError):
    """``cog build`` does not take this predictor; the message says what about it and what to change.

    Attributes:
        file: the source file, relative to the project.
        line: the line to change; 0 where there is no single one.
        problem: what is wrong and what to change, without the place.
    """

    def __init__(self, problem: str, *, file: str = "", line: int = 0) -> None:
        place = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(f"{place}{problem}")
        self.file = file
        self.line = line
        self.problem = problem


class UnknownSyntaxError(ConfigError):
    """A source file is not valid for the Python that reads it; a newer one may read it."""

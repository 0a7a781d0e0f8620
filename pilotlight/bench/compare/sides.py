"""The two sides of a comparison: a project folder, or that folder checked out at a git revision.

A checkout is made from git's objects through an index of its own, in a temporary folder: the user's repository, its
index and its list of worktrees are not changed. It has only what git stores: no ignored files (fetched weights), and no
submodules.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight.bench.harness.targets import BenchTarget
from pilotlight.errors import ConfigError, UsageError
from pilotlight.runtime import Project

__all__ = ["Side", "opened", "parse_side"]

_GIT_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Side:
    """A side as given on the command line.

    Attributes:
        text: ``folder`` or ``folder@revision``.
        folder: the project's folder; with a revision, it identifies the repository and the path in it.
        revision: a name that git resolves to a commit; ``None`` for the folder as it is.
    """

    text: str
    folder: Path
    revision: str | None = None

    @property
    def label(self) -> str:
        """Return the folder's name, with the revision if there is one."""
        folder = self.folder.resolve().name or "project"
        return folder if self.revision is None else f"{folder}@{self.revision}"


def parse_side(text: str) -> Side:
    """Parse ``folder`` or ``folder@revision``; an existing folder with ``@`` in its name counts as a folder.

    Raises:
        UsageError: there is no such folder.
    """
    if Path(text).is_dir():
        return Side(text, Path(text))
    at = text.find("@", 1)
    while at > 0:  # a revision may contain "@" too: main@{upstream}
        folder, revision = Path(text[:at]), text[at + 1 :]
        if folder.is_dir() and revision and not revision.startswith("-"):
            return Side(text, folder, revision)
        at = text.find("@", at + 1)
    raise UsageError(
        f"{text}: there is no such folder; give a project's folder, or FOLDER@REVISION of a git repository"
    )


@contextmanager
def opened(side: Side, name: str, env: Mapping[str, str]) -> Iterator[BenchTarget]:
    """Yield the side as a target; a checkout exists as long as this context.

    Args:
        side: the side to open.
        name: the name of the target.
        env: the variables of this side alone.

    Raises:
        UsageError: the folder is in no git repository, or the revision is unknown or does not contain the project.
    """
    if side.revision is None:
        yield BenchTarget(f"{name}: {side.label}", Project.load(side.folder), env)
        return
    top = Path(_git(side, side.folder, "rev-parse", "--show-toplevel", error="is in no git repository"))
    inside = _git(side, side.folder, "rev-parse", "--show-prefix")
    unknown = "is unknown there; give a commit, branch or tag (a shallow clone has to fetch it first)"
    commit = _git(side, top, "rev-parse", "--verify", f"{side.revision}^{{commit}}", error=f"{side.revision} {unknown}")
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as temporary:
        tree = Path(temporary) / "tree"
        index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
        _git(side, top, "read-tree", commit, env=index)
        _git(side, top, "checkout-index", "--all", "--quiet", f"--prefix={tree}/", env=index)
        try:
            project = Project.load(tree / inside)
        except ConfigError as error:
            raise ConfigError(f"{side.text}, checked out: {error}") from error
        yield BenchTarget(f"{name}: {side.label}", project, env, revision=commit)


def _git(side: Side, folder: Path, *arguments: str, error: str = "", env: Mapping[str, str] | None = None) -> str:
    """Return git's output; on failure, raise an error with ``error`` and git's message."""
    command = ["git", "-C", str(folder), *arguments]
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_LIMIT_S, check=False, env=environment
        )
    except (OSError, subprocess.SubprocessError) as failure:
        raise UsageError(f"{side.text}: git is needed for a revision, but does not run: {failure}") from failure
    if done.returncode:
        said = done.stderr.strip().removeprefix("fatal: ")
        raise UsageError(f"{side.text}: {error or f'git {arguments[0]} failed'} (git: {said})")
    return done.stdout.strip()

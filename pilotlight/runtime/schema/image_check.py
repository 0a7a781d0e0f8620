"""What there is to say of the image that ``cog build`` makes of a project: why it is refused, or what it lacks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.built import read_built
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError

OWN_SCHEMA = "COG_OPENAPI_SCHEMA"


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """Something in the source that does not reach the image.

    Attributes:
        where: the file, with the line where there is a single one.
        problem: what is wrong, and what to change.
        refused: whether ``cog build`` refuses the project for it.
    """

    where: str
    problem: str
    refused: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def image_differences(project: Project) -> tuple[ImageDifference, ...]:
    """Return what in the source does not reach the image: the first refusal, or all that is passed over.

    The source is read, not imported. A schema of its own (``COG_OPENAPI_SCHEMA``) is taken as it is, by Cog too, and
    a source that is written for another Python is not judged: the build tool reads the syntax of every Python.
    """
    if os.environ.get(OWN_SCHEMA):
        return ()
    try:
        built = read_built(project)
    except BuildRefusedError as error:
        where = error.file or project.predict_ref.partition(":")[0]
        place = f"{where}:{error.line}" if error.line else where
        return (ImageDifference(place, error.problem, refused=True),)
    except UnknownSyntaxError:
        return ()
    return tuple(ImageDifference(f"{one.file}:{one.line}", one.problem, refused=False) for one in built.unread)


def build_refusal(project: Project) -> str | None:
    """Return why ``cog build`` would refuse the project, and what to change; ``None`` where it would not."""
    found = [one for one in image_differences(project) if one.refused]
    return f"cog build refuses this predictor: {found[0]}" if found else None


def image_warning(project: Project) -> str | None:
    """Return one line about what in the source does not reach the image; ``None`` where all of it does."""
    return build_refusal(project) or "; ".join(str(one) for one in image_differences(project)) or None

"""What there is to say of the image that ``cog build`` makes of a project: why it is refused, or what it lacks."""

from __future__ import annotations

import os

from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.built import Built, read_built
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError

OWN_SCHEMA = "COG_OPENAPI_SCHEMA"


def build_refusal(project: Project) -> str | None:
    """Return why ``cog build`` would refuse the project, and what to change; ``None`` where it would not.

    Its source is read, not imported. A schema of its own (``COG_OPENAPI_SCHEMA``) is taken as it is, by Cog too.
    """
    try:
        _built(project)
    except BuildRefusedError as error:
        return f"cog build refuses this predictor: {error}"
    return None


def image_warning(project: Project) -> str | None:
    """Return one line about what in the source does not reach the image; ``None`` where all of it does.

    It says that ``cog build`` refuses the project, or which defaults and limits it passes over.
    """
    try:
        built = _built(project)
    except BuildRefusedError as error:
        return f"cog build refuses this predictor: {error}"
    if built is None or not built.unread:
        return None
    return "; ".join(str(one) for one in built.unread)


def _built(project: Project) -> Built | None:
    """Return what the build tool would write; ``None`` where this cannot be told from the source."""
    if os.environ.get(OWN_SCHEMA):
        return None
    try:
        return read_built(project)
    except UnknownSyntaxError:  # the build tool reads every Python's syntax
        return None

"""A project as the next version of a model."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import UsageError
from pilotlight.gateway.registry.compatibility import Break, find_breaks
from pilotlight.gateway.registry.names import MissingError, check_name
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.snapshot import freeze, thaw
from pilotlight.loading.progress import Watcher
from pilotlight.runtime import Project, ensure_schema, schema_for

# Where Cog pushes to: `model: r8.im/owner/name` in cog.yaml is owner/name here.
_REPLICATE = "r8.im/"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has done.

    Attributes:
        model: ``owner/name``.
        version: its current version, which is what was pushed.
        before: the version that was current before; ``None`` for the first.
        new: whether the model did not have this version yet.
        breaks: what it breaks of the version before it.
        files: how many it has; ``size_bytes`` together.
    """

    model: str
    version: str
    before: str | None
    new: bool
    breaks: tuple[Break, ...]
    files: int
    size_bytes: int


class BreaksError(UsageError):
    """A version that would break callers of the one before it; ``breaks`` says what."""

    def __init__(self, model: str, before: str, breaks: Sequence[Break]) -> None:
        lines = "".join(f"\n  {one}" for one in breaks)
        super().__init__(
            f"this version breaks callers of the current version of {model}, {before[:12]}:{lines}\n"
            "Change that, or push with --allow-breaking. Nothing was pushed."
        )
        self.breaks = tuple(breaks)


def push(
    root: Path,
    model: str | None,
    registry: Registry,
    *,
    now: float,
    watcher: Watcher,
    python: Path | None = None,
    allow_breaking: bool = False,
    link: bool = False,
) -> Pushed:
    """Freezes the project in ``root`` and makes it the current version of ``model``; the same content is one version.

    Killed at any moment, it leaves the model as it was, and at most files that nothing refers to: ``gc`` removes those.

    Args:
        root: the folder with cog.yaml.
        model: ``owner/name``; ``None`` for what cog.yaml says.
        registry: where to.
        now: seconds since 1970.
        watcher: told of files as they are read.
        python: an interpreter with cog and all that the predictor imports; the running one by default.
        allow_breaking: whether callers of the version before it may be broken.
        link: as ``Blobs.add`` has it.

    Raises:
        BreaksError: it would break callers of the version before it.
        UsageError: it cannot be pushed as it stands.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        StoreError: it cannot be written.
    """
    project = Project.load(root)
    name = check_name(model or _own_name(project))
    with registry.held(on_wait=lambda: watcher.note("waiting for another push or gc to end")):
        frozen = freeze(project, registry.blobs, link=link, watcher=watcher)
        folder = registry.folder(frozen.id)
        if not folder.is_dir():
            registry.folders.mkdir(exist_ok=True)
            thaw(frozen, registry.blobs, folder)
        # Where it will run from: no start of a worker has to import it for its schema again.
        copy = Project.load(folder)
        ensure_schema(copy, python=python)
        document = schema_for(copy, python=python)
        before = _current(registry, name)
        breaks = find_breaks(registry.document(name, before), document) if before else []
        if before and breaks and not allow_breaking:
            raise BreaksError(name, before, breaks)
        # Once for all of its files: what the registry names survives a loss of power.
        os.sync()
        cog_version = project.sdk_version or importlib.metadata.version("cog")
        new = registry.add_version(name, frozen, document=document, cog_version=cog_version, now=now)
    return Pushed(name, frozen.id, before, new, tuple(breaks), len(frozen.files), frozen.size_bytes)


def _own_name(project: Project) -> str:
    if project.model is None:
        raise UsageError("give the name to push to as owner/name, or set it in cog.yaml as model: owner/name")
    return project.model.removeprefix(_REPLICATE)


def _current(registry: Registry, model: str) -> str | None:
    try:
        return registry.model(model).current
    except MissingError:
        return None

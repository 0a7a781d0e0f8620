"""Pushes a project as the next version of a model."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import UsageError
from pilotlight.gateway.registry.compatibility import Incompatibility, find_incompatibilities
from pilotlight.gateway.registry.names import MissingError, check_name
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.snapshot import restore, take_snapshot
from pilotlight.loading.progress import Watcher
from pilotlight.runtime import Project, ensure_schema, schema_for
from pilotlight.runtime.schema.image_check import build_refusal
from pilotlight.runtime.schema.schema_file import require_import

# Where Cog pushes to: `model: r8.im/owner/name` in cog.yaml is owner/name here.
_REPLICATE = "r8.im/"


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result of a push.

    Attributes:
        model: ``owner/name``.
        version: the version that was pushed, which is current now.
        before: the version that was current before; ``None`` for the first.
        new: whether the model did not have this version yet.
        incompatibilities: what callers of the version before can no longer rely on.
        files: number of files of the version.
        size_bytes: their size together.
    """

    model: str
    version: str
    before: str | None
    new: bool
    incompatibilities: tuple[Incompatibility, ...]
    files: int
    size_bytes: int


class IncompatibleError(UsageError):
    """The version would break callers of the one before it; ``incompatibilities`` says how."""

    def __init__(self, model: str, before: str, incompatibilities: Sequence[Incompatibility]) -> None:
        lines = "".join(f"\n  {one}" for one in incompatibilities)
        super().__init__(
            f"this version breaks callers of the current version of {model}, {before[:12]}:{lines}\n"
            "Change that, or push with --allow-breaking. Nothing was pushed."
        )
        self.incompatibilities = tuple(incompatibilities)


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
    """Store a snapshot of the project in ``root`` and make it the current version of ``model``.

    The same content is the same version. A push that is killed leaves the model as it was, and at most files that
    nothing refers to; ``gc`` removes those.

    Args:
        root: the folder with cog.yaml.
        model: ``owner/name``; ``None`` for what cog.yaml says.
        registry: the registry to push to.
        now: seconds since 1970.
        watcher: called with the progress of reading files.
        python: an interpreter with cog and all that the predictor imports; the running one by default.
        allow_breaking: whether the version may be incompatible with the one before it.
        link: as ``Blobs.add`` has it.

    Raises:
        IncompatibleError: the version would break callers of the one before it.
        UsageError: the project cannot be pushed as it is, or ``cog build`` would refuse it.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        StoreError: it cannot be written.
    """
    project = Project.load(root)
    name = check_name(model or _own_name(project))
    refusal = build_refusal(project)
    if refusal is not None:
        raise UsageError(refusal)
    with registry.lock(on_wait=lambda: watcher.note("waiting for another push or gc to end")):
        snapshot = take_snapshot(project, registry.blobs, link=link, watcher=watcher)
        folder = registry.folder(snapshot.id)
        if not folder.is_dir():
            registry.folders.mkdir(mode=0o700, exist_ok=True)
            restore(snapshot, registry.blobs, folder)
        copy = Project.load(folder)
        require_import(copy, python=python)
        ensure_schema(copy, python=python)
        document = schema_for(copy, python=python)
        before = _current(registry, name)
        found = find_incompatibilities(registry.document(name, before), document) if before else []
        if before and found and not allow_breaking:
            raise IncompatibleError(name, before, found)
        # Once for all files: what the registry names survives a loss of power.
        os.sync()
        cog_version = project.sdk_version or importlib.metadata.version("cog")
        new = registry.add_version(name, snapshot, document=document, cog_version=cog_version, now=now)
    return Pushed(name, snapshot.id, before, new, tuple(found), len(snapshot.files), snapshot.size_bytes)


def _own_name(project: Project) -> str:
    if project.model is None:
        raise UsageError("give the name to push to as owner/name, or set it in cog.yaml as model: owner/name")
    return project.model.removeprefix(_REPLICATE)


def _current(registry: Registry, model: str) -> str | None:
    try:
        return registry.model(model).current
    except MissingError:
        return None

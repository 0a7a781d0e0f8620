"""Versions: projects as the gateway serves them."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import UsageError
from pilotlight.gateway.registry.digest import list_entries, version_id
from pilotlight.gateway.registry.registry import PushedVersion, Registry
from pilotlight.runtime import Project, schema_for
from pilotlight.runtime.predictor_schema import PredictorSchema
from pilotlight.runtime.schema.validation import Validator

# Who owns what is served from a folder, without a push.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model.

    Attributes:
        id: 64 hex digits; the same for the same files.
        owner: the owner of the model.
        name: the name of the model.
        project: the project's folder.
        document: the project's OpenAPI document.
        validator: checks its inputs.
        cog_version: the release of cog that the project asks for, or else the installed one.
        created_at: when it was first served, or pushed; seconds since 1970.
        pushed: whether it was pushed; otherwise it is served from a folder that somebody may be working in.
    """

    id: str
    owner: str
    name: str
    project: Project
    document: Mapping[str, Any]
    validator: Validator
    cog_version: str
    created_at: float
    pushed: bool = False

    @property
    def model(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def schema(self) -> PredictorSchema:
        """What the document says about its inputs and its output."""
        return self.validator.schema

    @property
    def iterates(self) -> bool:
        """Whether its output grows chunk by chunk."""
        return self.schema.output.iterates


def load_version(root: Path, *, created_at: float, python: Path | None = None) -> Version:
    """Load the project in ``root`` as it is now, as a version of the model ``local/<folder>``.

    Args:
        root: the folder with cog.yaml.
        created_at: seconds since 1970.
        python: an interpreter with cog and all that the predictor imports; the running one by default.

    Raises:
        ConfigError: it cannot be served; the message says why.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        WorkerTimeoutError: the import took too long.
    """
    project = Project.load(root)
    document = schema_for(project, python=python)
    return Version(
        id=version_id(list_entries(project.root)),
        owner=LOCAL,
        name=model_name(project.root.resolve().name),
        project=project,
        document=document,
        validator=Validator(document),
        cog_version=project.sdk_version or importlib.metadata.version("cog"),
        created_at=created_at,
    )


def load_pushed(registry: Registry, row: PushedVersion) -> Version:
    """Load a version that was pushed.

    Raises:
        ConfigError: its folder is damaged.
        MissingError: it has been deleted.
        StoreError: the registry cannot be read.
    """
    document = registry.document(row.model, row.id)
    owner, _, name = row.model.partition("/")
    return Version(
        id=row.id,
        owner=owner,
        name=name,
        project=Project.load(registry.folder(row.id)),
        document=document,
        validator=Validator(document),
        cog_version=row.cog_version,
        created_at=row.created_at,
        pushed=True,
    )


def has_changed(version: Version) -> bool:
    """Return whether the project's folder has changed since it was loaded; a pushed version never has."""
    return not version.pushed and version_id(list_entries(version.project.root)) != version.id


def model_name(folder: str) -> str:
    """Return a folder's name in Replicate's form: small letters, digits, ``-``, ``_`` and ``.``, not those first."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder.lower()).strip("-._") or "project"


def require_different(versions: Sequence[Version]) -> None:
    """Refuse projects that would have the same model name.

    Raises:
        UsageError: names two of them.
    """
    seen: dict[str, Version] = {}
    for version in versions:
        other = seen.setdefault(version.model, version)
        if other is not version:
            raise UsageError(
                f"{other.project.root} and {version.project.root} would both be {version.model}; "
                "rename one of the folders, or serve them on two ports"
            )

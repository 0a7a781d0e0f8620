"""The catalog of what can be run, by name: projects in their folders, and what the registry holds at this moment.

Every call checks whether the registry has changed, which costs microseconds, so that what another process has pushed or
rolled back counts from the next request on. Schemas are read when a version is first asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotlight.errors import PilotlightError
from pilotlight.gateway.registry.deployments import Deployment, Deployments
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.registry import Model, PushedVersion, Registry
from pilotlight.gateway.registry.versions import Version, load_pushed, require_different

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the registry held when it was last read: versions by model and id, newest first, the others by name."""

    models: Mapping[str, Model] = field(default_factory=dict)
    versions: Mapping[tuple[str, str], PushedVersion] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)


class Catalog:
    """The projects that are served, and the contents of a registry.

    A project hides a pushed model of the same name for as long as it is served.

    Args:
        projects: projects that are served from their folders.
        registry: the registry of pushed versions; ``None`` for none.

    Raises:
        UsageError: two projects have one name.
        StoreError: from every method: the registry cannot be read.
    """

    def __init__(self, projects: Sequence[Version], registry: Registry | None) -> None:
        require_different(projects)
        self.projects = tuple(projects)
        self.registry = registry
        self._watch = None if registry is None else registry.watch()
        self._contents = _Contents()
        self._stale = True
        self._loaded: dict[tuple[str, str], Version] = {}
        self._damaged: set[tuple[str, str]] = set()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()

    @property
    def current(self) -> tuple[Version, ...]:
        """The current version of every model that has one: projects first, as they were given, then by name."""
        rows = [self._row(model) for model in self._now.models.values() if model.current]
        loaded = [self._load_if_whole(row) for row in rows if not self.project(row.model)]
        return (*self.projects, *(version for version in loaded if version is not None))

    @property
    def models(self) -> list[Model]:
        """All models in the same order, those without a version included."""
        projects = [_model_of(one) for one in self.projects]
        return [*projects, *(one for one in self._now.models.values() if not self.project(one.model))]

    @property
    def deployments(self) -> list[Deployment]:
        """All deployments that were created, by name."""
        return list(self._now.deployments.values())

    def model(self, name: str) -> Model:
        """Return the model of that name.

        Raises:
            MissingError: there is none of that name.
        """
        if project := self.project(name):
            return _model_of(project)
        found = self._now.models.get(name)
        if found is None:
            raise MissingError(f"There is no model {name[:140]!r} here.")
        return found

    def latest(self, model: str) -> Version:
        """Return the current version of a model.

        Raises:
            MissingError: there is no such model, or it has no version.
            ConfigError: its folder is damaged.
        """
        if project := self.project(model):  # no push changes it: the registry need not be read
            return project
        current = self.model(model).current
        if current is None:
            raise MissingError(f"The model {model} has no version yet: pilotlight push DIR {model} gives it one.")
        return self.find(current, model)

    def find(self, version: str, model: str | None = None) -> Version:
        """Return the version of that id: of the model that is named, or of one that has it.

        Of several models with the same version it is one where that is current, and the first that it was pushed to.

        Raises:
            MissingError: there is none.
            ConfigError: its folder is damaged.
        """
        for one in self.projects:
            if one.id == version and model in (None, one.model):
                return one
        versions = self._now.versions
        row = versions.get((model, version)) if model else self._first_pushed(version)
        if row is not None:
            return self._load(row)
        of = f" of {model[:140]}" if model else ""
        raise MissingError(f"There is no version {version[:140]!r}{of} here.")

    def _first_pushed(self, version: str) -> PushedVersion | None:
        models = self._now.models
        rows = [one for one in self._now.versions.values() if one.id == version]
        return min(
            rows, key=lambda one: (models[one.model].current != version, one.created_at, one.model), default=None
        )

    def has(self, model: str, version: str) -> bool:
        """Return whether there is such a version, whole or damaged."""
        return (model, version) in self._now.versions or any(
            project.model == model and project.id == version for project in self.projects
        )

    def versions(self, model: str) -> list[Version]:
        """Return all versions of a model, newest first.

        Raises:
            MissingError: there is no such model.
        """
        if project := self.project(self.model(model).model):
            return [project]
        loaded = [self._load_if_whole(row) for row in self._now.versions.values() if row.model == model]
        return [version for version in loaded if version is not None]

    def project(self, model: str) -> Version | None:
        """Return the project that is served under that name, as a model and as a deployment; ``None`` for none."""
        return next((one for one in self.projects if one.model == model), None)

    def created(self, name: str) -> Deployment | None:
        """Return the deployment of that name; ``None`` where none was created, or it was deleted."""
        return self._now.deployments.get(name)

    def deployment(self, name: str) -> Deployment:
        """Return the deployment of that name.

        Raises:
            MissingError: there is none.
        """
        found = self.created(name)
        if found is None:
            raise MissingError(f"There is no deployment {name[:140]!r} here.")
        return found

    def is_wanted(self, version: Version, deployment: str | None) -> bool:
        """Return whether new predictions that do not name a version go to it: by a deployment, or else by its model."""
        if deployment is not None:
            found = self._now.deployments.get(deployment)
            return found is not None and any(share.version == version.id for share in found.traffic)
        project = self.project(version.model)
        if project is not None:
            return project.id == version.id
        model = self._now.models.get(version.model)
        return model is not None and model.current == version.id

    @property
    def _now(self) -> _Contents:
        if self.registry is not None and self._watch is not None:
            # In two steps, so that a failed read is repeated on the next call.
            self._stale |= self._watch.changed()
            if self._stale:
                self._contents = _read(self.registry)
                there = self._contents.versions.keys()
                self._loaded = {key: version for key, version in self._loaded.items() if key in there}
                self._stale = False
        return self._contents

    def _row(self, model: Model) -> PushedVersion:
        assert model.current is not None, "this is a bug: only models with a version have one to load"
        return self._contents.versions[model.model, model.current]

    def _load(self, row: PushedVersion) -> Version:
        key = (row.model, row.id)
        if key not in self._loaded:
            assert self.registry is not None, "this is a bug: without a registry there are no rows"
            self._loaded[key] = load_pushed(self.registry, row)
        return self._loaded[key]

    def _load_if_whole(self, row: PushedVersion) -> Version | None:
        """Load a version for a list; ``None`` where it is damaged, which is logged once."""
        try:
            return self._load(row)
        except PilotlightError as error:
            if (row.model, row.id) not in self._damaged:
                self._damaged.add((row.model, row.id))
                _LOG.error("%s:%s is left out: %s", row.model, row.id[:12], error)
            return None


def _model_of(project: Version) -> Model:
    return Model(project.model, project.created_at, project.id)


def _read(registry: Registry) -> _Contents:
    return _Contents(
        models={one.model: one for one in registry.models()},
        versions={(one.model, one.id): one for one in registry.versions()},
        deployments={one.deployment: one for one in Deployments(registry).all()},
    )

"""Which version answers a request: the one place that decides it, for every route.

A request asks for a version, a model, a deployment, a model by its OpenAI name, or for nothing in particular. Where
several versions could answer, ``pilotlight.traffic`` chooses among them by their weights and a key: equal keys go to
the same version for as long as the weights stay. Pure but for the catalog: chance is in the key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.deployments import Deployment
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.versions import Version
from pilotlight.traffic import RequestKeys, Traffic, choose, parse_sticky


@dataclass(frozen=True, slots=True)
class ByVersion:
    """A version as Replicate's ``version`` names it: an id, ``owner/name:id``, or ``owner/name`` for the current."""

    version: str


@dataclass(frozen=True, slots=True)
class ByModel:
    """The current version of a model, ``owner/name``."""

    model: str


@dataclass(frozen=True, slots=True)
class ByDeployment:
    """Any version of a deployment, ``owner/name``; a project served from its folder is a deployment of its own name."""

    deployment: str


@dataclass(frozen=True, slots=True)
class ByOpenAIName:
    """What an OpenAI client calls a model: ``owner/name`` of a model or a deployment, or ``owner/name:id``.

    Attributes:
        name: the name; ``None`` or an empty text for the first model that is accepted.
        accepts: whether a version can answer such a request.
    """

    name: str | None
    accepts: Callable[[Version], bool]


@dataclass(frozen=True, slots=True)
class Default:
    """Nothing in particular: the first project, or else the only model."""


Asked = ByVersion | ByModel | ByDeployment | ByOpenAIName | Default


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes.

    Attributes:
        version: the version that answers.
        deployment: ``owner/name`` of the deployment that it was asked for by, if any; its limits apply.
        shadows: versions that get a copy of the request; their answers are not returned.
    """

    version: Version
    deployment: str | None = None
    shadows: tuple[Version, ...] = ()


def route(asked: Asked, catalog: Catalog, keys: RequestKeys, chance: str) -> Destination:
    """Return where a request goes: the same for the same catalog, keys and chance.

    Args:
        asked: what was asked for.
        catalog: what is there.
        keys: requests with equal keys stay on one version of a deployment.
        chance: a random text, the key of a request that has none.

    Raises:
        MissingError: there is no such version, model or deployment.
        ConfigError: the folder of the version is damaged.
        StoreError: the registry cannot be read.
    """
    match asked:
        case ByVersion(version):
            return Destination(_version(version, catalog))
        case ByModel(model):
            return Destination(catalog.latest(model))
        case ByDeployment(name):
            return _deployed(name, catalog, keys, chance)
        case ByOpenAIName(name, accepts):
            return _openai(name, accepts, catalog, keys, chance)
        case Default():
            return Destination(_default(catalog))


@functools.lru_cache(maxsize=256)
def traffic_of(deployment: Deployment) -> Traffic:
    """Return how the requests of a deployment are divided among its versions, by their ids."""
    now, *earlier = (
        {share.version: share.weight for share in shares} for shares in (deployment.traffic, *deployment.earlier)
    )
    return Traffic(now, earlier=tuple(earlier))


def _version(text: str, catalog: Catalog) -> Version:
    model, colon, version = text.rpartition(":")
    if "/" in text and not colon:
        return catalog.latest(text)
    return catalog.find(version, model or None)


def _deployed(name: str, catalog: Catalog, keys: RequestKeys, chance: str) -> Destination:
    project = catalog.project(name)
    if project is not None:
        return Destination(project, name)
    deployment = catalog.deployment(name)
    key = keys.by(parse_sticky(deployment.sticky)) or chance
    # Seeded by the name, so that the keys of two deployments are divided independently.
    chosen = choose(traffic_of(deployment), key, seed=name)
    shadows = tuple(catalog.find(version, deployment.model) for version in chosen.shadows)
    return Destination(catalog.find(chosen.target, deployment.model), name, shadows)


def _openai(
    name: str | None, accepts: Callable[[Version], bool], catalog: Catalog, keys: RequestKeys, chance: str
) -> Destination:
    served = [version for version in catalog.current if accepts(version)]
    for version in served:
        if name in (None, "", version.model, f"{version.model}:{version.id}"):
            return Destination(version)
    found = _openai_deployed(name or "", catalog, keys, chance)
    if found is not None and accepts(found.version):
        return found
    known = ", ".join(version.model for version in served) or "none: no served project makes text from a prompt"
    if found is not None or any(version.model == name for version in catalog.current):
        raise MissingError(
            f"The model {str(name)[:140]!r} makes no text from a prompt; use its own route. Those that do: {known}."
        )
    raise MissingError(f"There is no model {str(name)[:140]!r} here; there is {known}.")


def _openai_deployed(name: str, catalog: Catalog, keys: RequestKeys, chance: str) -> Destination | None:
    """Return the destination of a name that is no current version: an older version, or a deployment."""
    try:
        if ":" in name:
            return Destination(_version(name, catalog))
        return _deployed(name, catalog, keys, chance)
    except (MissingError, ConfigError):
        return None


def _default(catalog: Catalog) -> Version:
    if catalog.projects:
        return catalog.projects[0]
    current = catalog.current
    if not current:
        raise MissingError("Nothing has been pushed yet: pilotlight push DIR owner/name.")
    if len(current) > 1:
        raise MissingError(
            f"This gateway serves {len(current)} models, and this route is for one: "
            "POST /v1/models/{owner}/{name}/predictions is for any."
        )
    return current[0]

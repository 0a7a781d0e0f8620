"""``weights/models.toml``: the models that `pilotlight weights fetch` knows by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError, UsageError

__all__ = ["CATALOG_NAME", "KnownModel", "find_known", "read_catalog"]

CATALOG_NAME = "models.toml"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry.

    Attributes:
        name: of the entry, and of the model's folder in ``weights/``.
        about: what the model is for.
        source: as ``pilotlight weights fetch`` takes it.
        licence: its SPDX name.
        origin: which published model it is.
        generation: what is added to the model's ``generation_config.json``.
    """

    name: str
    about: str
    source: str
    licence: str
    origin: str
    generation: Mapping[str, Any] = field(default_factory=dict)


def read_catalog(weights_dir: Path) -> dict[str, KnownModel]:
    """Read the catalog in ``weights_dir``, by name; empty where there is none.

    Raises:
        ConfigError: it is not TOML, or an entry lacks something.
    """
    path = weights_dir / CATALOG_NAME
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        return {name: _entry(name, entry) for name, entry in content["models"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}; expected [models.NAME] with about, source and licence") from error


def find_known(name: str, weights_dir: Path) -> KnownModel:
    """Return the entry of ``name``.

    Raises:
        UsageError: there is none; the message lists those there are.
        ConfigError: as ``read_catalog``.
    """
    models = read_catalog(weights_dir)
    if name not in models:
        known = ", ".join(models) or "none"
        raise UsageError(f"{name!r} is not in {weights_dir / CATALOG_NAME}, which has {known}")
    return models[name]


def _entry(name: str, entry: Mapping[str, Any]) -> KnownModel:
    source = entry["source"]
    if "sha256" in entry:
        source += f"#sha256={entry['sha256']}"
    generation = entry.get("generation", {})
    return KnownModel(name, entry["about"], source, entry["licence"], entry.get("origin", ""), dict(generation))

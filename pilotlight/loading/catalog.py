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
BUILT_IN = Path(__file__).parents[2] / "weights" / CATALOG_NAME  # the project's own


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


def read_catalog(weights_dir: Path, *, built_in: Path = BUILT_IN) -> dict[str, KnownModel]:
    """Read the project's catalog and the one in ``weights_dir``, by name; an entry of the latter wins.

    Raises:
        ConfigError: one of them is not TOML, or an entry lacks something.
    """
    return _read(built_in) | _read(weights_dir / CATALOG_NAME)


def find_known(name: str, weights_dir: Path, *, built_in: Path = BUILT_IN) -> KnownModel:
    """Return the entry of ``name``.

    Raises:
        UsageError: there is none; the message lists those there are.
        ConfigError: as ``read_catalog``.
    """
    models = read_catalog(weights_dir, built_in=built_in)
    if name not in models:
        raise UsageError(
            f"{name!r} is not the name of a known model: {', '.join(models) or 'there is none'} "
            f"({CATALOG_NAME} of the project or of {weights_dir}/); models of the hub are hf://org/name"
        )
    return models[name]


def _read(path: Path) -> dict[str, KnownModel]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        return {name: _entry(name, entry) for name, entry in content["models"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}; expected [models.NAME] with about, source and licence") from error


def _entry(name: str, entry: Mapping[str, Any]) -> KnownModel:
    source = entry["source"]
    if "sha256" in entry:
        source += f"#sha256={entry['sha256']}"
    generation = entry.get("generation", {})
    return KnownModel(name, entry["about"], source, entry["licence"], entry.get("origin", ""), dict(generation))

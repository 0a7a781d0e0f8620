"""The artifacts beside a model's weights: what they are called, and which of them may be used.

Runs at every cold start: the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import read_json
from pilotlight.loading.files.names import MANIFEST_NAME

__all__ = ["PRECISIONS", "Artifact", "artifact_name", "find_artifacts"]

# The order in which an engine prefers them on a CPU, where reading the weights is what a token costs: 4 bits last of
# the small ones, for they cost quality, and full precision last of all.
PRECISIONS = ("int8", "int4", "bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder that one engine loads on one kind of device."""

    folder: Path
    engine: str
    precision: str
    device: str


def artifact_name(engine: str, precision: str, device: str) -> str:
    """Return the name of an artifact's folder within the model's."""
    return f"{engine}-{precision}-{device}"


def find_artifacts(model: Path) -> tuple[Artifact, ...]:
    """Return the artifacts of ``model`` that its manifest lists, the preferred ones first.

    One that was made from other weights than the manifest now lists, or whose folder is gone, is left out.

    Raises:
        WeightsError: the manifest is damaged.
    """
    path = model / MANIFEST_NAME
    if not path.is_file():
        return ()
    manifest = read_json(path)
    try:
        sums = {str(file["name"]): str(file["sha256"]) for file in manifest["files"]}
        found = [
            Artifact(model / entry["name"], entry["engine"], entry["precision"], entry["device"])
            for entry in manifest.get("artifacts", ())
            if _is_of(entry["made_from"], sums) and (model / entry["name"]).is_dir()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is not a manifest: its list of artifacts is damaged") from error
    return tuple(sorted(found, key=lambda artifact: _rank(artifact.precision)))


def _is_of(made_from: dict[str, Any], sums: dict[str, str]) -> bool:
    return bool(made_from) and all(sums.get(name) == sha256 for name, sha256 in made_from.items())


def _rank(precision: str) -> int:
    return PRECISIONS.index(precision) if precision in PRECISIONS else len(PRECISIONS)

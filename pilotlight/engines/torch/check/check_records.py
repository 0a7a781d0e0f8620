"""Keeps the results of the self-check between starts: what it compared does not change by itself.

A result belongs to the weights, the configuration, the versions of torch, transformers and pilotlight, the device and
the precision; with any other it is made anew. The folder may be emptied at any time.
"""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pilotlight import __version__
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.util.files import write_atomically

__all__ = ["AS_ASKED", "CheckResult", "read_result", "result_path", "write_result"]

AS_ASKED = "as asked"
FOLDER = "self-checks"
FORMAT = 1
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
WEIGHTS = "*.safetensors"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether continuous batching computes what the model does, and if not, what differed."""

    batched: bool
    reason: str = ""


def result_path(cache: Path, folder: Path, model: Any) -> Path:
    """Return the file that has the result for the model in ``folder``, loaded as ``model``; it need not be there.

    The weights are named by the hashes of the folder's manifest, where it has one with the sizes that are there; else
    by each file's header, size and time of change. No tensor is read.
    """
    device = model.device
    digest = hashlib.sha256()
    parts = [
        FORMAT,
        __version__,
        torch.__version__,
        version("transformers"),
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}",
        str(model.dtype),
        str(model.config._attn_implementation),
        *_weights(folder),
    ]
    digest.update(json.dumps(parts).encode())
    digest.update((folder / "config.json").read_bytes())
    return cache.expanduser() / FOLDER / f"{digest.hexdigest()[:32]}.json"


def read_result(path: Path) -> CheckResult | None:
    """Return the result in a file; ``None`` where there is none that can be read."""
    with suppress(OSError, ValueError, TypeError):
        return CheckResult(**json.loads(path.read_text(encoding="utf-8")))
    return None


def write_result(path: Path, result: CheckResult) -> None:
    """Write a result; without effect where the folder cannot be written."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(result)))


def _weights(folder: Path) -> list[list[object]]:
    files = sorted(folder.glob(WEIGHTS))
    known: dict[str, tuple[int, str]] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        known = {one["name"]: (one["size_bytes"], one["sha256"]) for one in manifest["files"]}
    described: list[list[object]] = []
    for path in files:
        stat = path.stat()
        size_bytes, sha256 = known.get(path.name, (-1, ""))
        if size_bytes == stat.st_size:
            described.append([path.name, sha256])
        else:
            described.append([path.name, stat.st_size, stat.st_mtime_ns, _header_sha256(path)])
    return described


def _header_sha256(path: Path) -> str:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        return hashlib.sha256(file.read(min(length, MAX_HEADER_BYTES))).hexdigest()

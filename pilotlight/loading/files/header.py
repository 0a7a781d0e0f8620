"""The header of a safetensors file: what it holds, read without reading a tensor.

Format (https://huggingface.co/docs/safetensors): 8 bytes little-endian length N, N bytes of JSON that map a tensor's
name to ``{"dtype", "shape", "data_offsets": [begin, end]}`` (offsets count from the end of the header), then the data.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import WeightsError

__all__ = ["Header", "TensorInfo", "read_header"]

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation: more is an attack or a damaged file


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor's dtype, as safetensors names it (``BF16``), and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What one file holds: its tensors by name."""

    tensors: dict[str, TensorInfo]

    @property
    def parameters(self) -> dict[str, int]:
        """Return the number of parameters by dtype: ``{"BF16": 134515008}``."""
        counts: dict[str, int] = {}
        for tensor in self.tensors.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + math.prod(tensor.shape)
        return counts


def read_header(path: Path, *, size_bytes: int) -> Header:
    """Read and check the header of ``path``, a file of ``size_bytes``; costs one read, whatever the file's size.

    Raises:
        WeightsError: it is not safetensors, or holds fewer (or more) bytes than its header says.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size_bytes < LENGTH_BYTES or not 2 <= length <= min(size_bytes - LENGTH_BYTES, MAX_HEADER_BYTES):
            raise WeightsError(
                f"{path} is not a whole safetensors file: its first 8 bytes announce a header of {length} bytes "
                f"and the file has {size_bytes}. Fetch it again"
            )
        raw = file.read(length)
    try:
        entries = json.loads(raw)
        entries.pop("__metadata__", None)
        data_bytes = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        tensors = {
            str(name): TensorInfo(str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
            for name, entry in entries.items()
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is not a safetensors file: its header is damaged. Fetch it again") from error
    expected = LENGTH_BYTES + length + data_bytes
    if expected != size_bytes:
        raise WeightsError(
            f"{path} is damaged: its header speaks of {expected} bytes and the file has {size_bytes}. Fetch it again"
        )
    return Header(tensors)

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

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation: more is an attack or a damaged file


@dataclass(frozen=True, slots=True)
class Header:
    """What one file holds: tensors, and parameters by dtype (``{"BF16": 134515008}``)."""

    tensors: int
    parameters: dict[str, int]


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
        header = _summary(entries)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is not a safetensors file: its header is damaged. Fetch it again") from error
    expected = LENGTH_BYTES + length + data_bytes
    if expected != size_bytes:
        raise WeightsError(
            f"{path} is damaged: its header speaks of {expected} bytes and the file has {size_bytes}. Fetch it again"
        )
    return header


def _summary(entries: dict[str, dict[str, list[int]]]) -> Header:
    parameters: dict[str, int] = {}
    for entry in entries.values():
        dtype = str(entry["dtype"])
        parameters[dtype] = parameters.get(dtype, 0) + math.prod(entry["shape"])
    return Header(len(entries), parameters)

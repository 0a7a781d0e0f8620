"""Writes a safetensors file one tensor at a time, so that a model larger than the memory can be converted.

Format: see ``loading/files/header.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}


def write_safetensors(
    path: Path, shapes: Mapping[str, Sequence[int]], dtype: str, tensors: Iterable[NDArray[Any]]
) -> str:
    """Write ``tensors`` in the order of ``shapes`` (by name) and return the file's sha256 in hex.

    ``dtype`` is F32, F16 or BF16 for all of them.

    Raises:
        OSError: the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + math.prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of eight bytes, as the format asks
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def put(content: bytes | memoryview) -> None:
            digest.update(content)
            file.write(content)

        put(len(text).to_bytes(8, "little") + text)
        for shape, tensor in zip(shapes.values(), tensors, strict=True):
            assert tensor.shape == tuple(shape), "this is a bug: a tensor of another shape than was announced"
            put(tensor.data if tensor.flags.c_contiguous else tensor.tobytes())
    return digest.hexdigest()

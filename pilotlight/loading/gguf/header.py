"""The header of a GGUF file: its metadata and where its tensors are, checked against the file's size.

Format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little-endian: ``GGUF``, a version, the number of
tensors, the number of metadata entries; the entries; the tensors' names, shapes, types and offsets; the data.

The ``gguf`` package has a reader too. This one takes milliseconds where that one takes a second for every 100,000
tokens, and refuses what a damaged file claims before it allocates anything for it.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import WeightsError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_DIMENSIONS = 4  # the limit of llama.cpp

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor of a file: ``shape`` as numpy has it (the outermost dimension first), ``offset`` from the file's start.

    Attributes:
        type: the name of its type, such as ``Q4_K``.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int
    file: Path


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata by key, and the tensors in the file's order."""

    metadata: dict[str, Any]
    tensors: tuple[TensorEntry, ...]


def read_header(path: Path) -> Header:
    """Return the header of the GGUF file ``path``.

    Raises:
        WeightsError: it is no GGUF file, of another version or byte order, damaged, or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) < len(MAGIC) + 20:
                raise WeightsError(f"{path} is not a GGUF file: it has {file.tell()} bytes")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Parser(path, data).header()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


class _Parser:
    """Reads a file from front to back; every length is compared with what is left of the file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._size = len(data)
        self._at = 0

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise WeightsError(f"{self._path} is not a GGUF file: it does not begin with GGUF")
        self._check_version(self._number("I"))
        tensors, entries = self._number("Q"), self._number("Q")
        self._check_count(tensors, 24, "tensors")
        self._check_count(entries, 13, "metadata entries")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._string()
            if key in metadata:
                raise self._damaged(f"has {key} twice")
            metadata[key] = self._value(self._number("I"))
        rows = [self._tensor_row() for _ in range(tensors)]
        return Header(metadata, self._locate(rows, self._alignment(metadata)))

    def _check_version(self, version: int) -> None:
        if version in VERSIONS:
            return
        if version >= 1 << 16 and int.from_bytes(struct.pack(">I", version), "little") in (1, *VERSIONS):
            raise WeightsError(f"{self._path} is a big-endian GGUF file: only little-endian ones can be read")
        raise WeightsError(f"{self._path} is a GGUF file of version {version}: only 2 and 3 can be read")

    def _check_count(self, count: int, least_bytes: int, what: str) -> None:
        if count * least_bytes > self._size - self._at:
            raise WeightsError(
                f"{self._path} is damaged or was not copied to its end: it says that it has {count} {what}, more than "
                f"{self._size} bytes can hold. Fetch it again"
            )

    def _alignment(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self._damaged(f"has an alignment of {alignment!r}, which is not a power of two")
        return alignment

    def _tensor_row(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        dimensions = self._number("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self._damaged(f"gives tensor {name!r} {dimensions} dimensions")
        shape = struct.unpack(f"<{dimensions}Q", self._take(8 * dimensions))
        return name, tuple(reversed(shape)), self._number("I"), self._number("Q")

    def _locate(self, rows: list[tuple[str, tuple[int, ...], int, int]], alignment: int) -> tuple[TensorEntry, ...]:
        start = -(-self._at // alignment) * alignment
        found: dict[str, TensorEntry] = {}
        for name, shape, number, offset in rows:
            type_name, size_bytes = self._size_of(name, shape, number)
            entry = TensorEntry(name, shape, type_name, start + offset, size_bytes, self._path)
            if name in found:
                raise self._damaged(f"has tensor {name!r} twice")
            if offset % alignment or entry.offset + size_bytes > self._size:
                raise WeightsError(
                    f"{self._path} is damaged or was not copied to its end: tensor {name!r} ends at byte "
                    f"{entry.offset + size_bytes} and the file has {self._size}. Fetch it again"
                )
            found[name] = entry
        return tuple(found.values())

    def _size_of(self, name: str, shape: tuple[int, ...], number: int) -> tuple[str, int]:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise WeightsError(
                f"{self._path} has tensor {name!r} in a type that is not known (number {number}): the file is newer "
                "than pilotlight's gguf package, or damaged"
            ) from None
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if shape[-1] % block:
            raise self._damaged(f"has tensor {name!r} as {kind.name} with rows of {shape[-1]}, no multiple of {block}")
        return kind.name, math.prod(shape) // block * block_bytes

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise self._damaged(f"has a metadata entry of type {kind}, which does not exist")
        item, count = self._number("I"), self._number("Q")
        if item in _SCALARS:
            code = _SCALARS[item]
            self._check_count(count, struct.calcsize(code), "items in a list")
            return list(struct.unpack(f"<{count}{code}", self._take(count * struct.calcsize(code))))
        if item != _STRING:
            raise self._damaged(f"has a list of items of type {item}, which is not supported")
        self._check_count(count, 8, "items in a list")
        return [self._string() for _ in range(count)]

    def _string(self) -> str:
        try:
            return self._take(self._number("Q")).decode()
        except UnicodeDecodeError as error:
            raise self._damaged(f"has a text that is not UTF-8 ({error})") from error

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(code)))[0]

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > self._size:
            raise WeightsError(
                f"{self._path} is damaged or was not copied to its end: its header goes on at byte {end} and the file "
                f"has {self._size}. Fetch it again"
            )
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _damaged(self, what: str) -> WeightsError:
        return WeightsError(f"{self._path} is damaged: it {what}. Fetch it again")

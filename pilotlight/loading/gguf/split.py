"""A GGUF model in one file or in several (``-00001-of-00003.gguf``), read as one header."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import WeightsError
from pilotlight.loading.files.gguf_names import parts_of
from pilotlight.loading.gguf.header import Header, TensorEntry, read_header


def read_parts(file: Path) -> Header:
    """Return the metadata of the first part and the tensors of all; ``file`` may be any of them.

    Raises:
        WeightsError: a part is missing or is not the one that its name says, or as ``read_header``.
    """
    paths = [file.with_name(name) for name in parts_of(file.name)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing and len(paths) > 1:
        raise WeightsError(
            f"{file} is one of {len(paths)} parts, and {len(missing)} of them are not beside it "
            f"({', '.join(missing[:3])})"
        )
    headers = [read_header(path) for path in paths]
    first = headers[0].metadata
    count = first.get("split.count", 1) or 1
    if count != len(paths):
        raise WeightsError(
            f"{file} is a part of a model in {count} files, and its name is not of the form "
            f"NAME-00001-of-{count:05}.gguf"
        )
    for number, header in enumerate(headers):
        if len(paths) > 1 and header.metadata.get("split.no") != number:
            raise WeightsError(f"{paths[number]} says that it is part {header.metadata.get('split.no')}, not {number}")
    tensors: dict[str, TensorEntry] = {}
    for header in headers:
        for entry in header.tensors:
            if entry.name in tensors:
                raise WeightsError(f"{entry.file} has tensor {entry.name!r}, which another part has too")
            tensors[entry.name] = entry
    stated = first.get("split.tensors.count", len(tensors))
    if len(paths) > 1 and stated != len(tensors):
        raise WeightsError(f"{file} and its other parts have {len(tensors)} tensors, and it says {stated}")
    return Header(first, tuple(tensors.values()))

"""The media type of a file by its name."""

from __future__ import annotations

import mimetypes

_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}


def media_type(name: str) -> str:
    """Return the media type of a file; of a compressed one, such as ``data.json.gz``, the type of the compression."""
    kind, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"

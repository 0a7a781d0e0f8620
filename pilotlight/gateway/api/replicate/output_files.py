"""Files in the outputs of predictions: workers give them as ``data:`` URLs, and callers over TLS get ``https:`` ones.

Replicate's clients take ``https:`` and ``data:`` URLs for files, and ``http:`` ones for texts. So a caller who reaches
the gateway over TLS, or at a ``--public-url`` that begins with ``https:``, gets a short URL for each file, and any
other caller the file itself. The URL holds a secret and needs no token, as on Replicate. Pure.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import mimetypes
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pilotlight.gateway.prediction import PredictionRecord

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w-]+=[^;,]*)*);base64,", re.ASCII)
_DEFAULT_KIND = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file in an output.

    Attributes:
        content_type: its media type.
        content: its bytes.
    """

    content_type: str
    content: bytes


def output_for(record: PredictionRecord, base: str) -> Any:
    """Return the output for a caller who reaches the gateway at ``base``: over TLS with a URL for each file."""
    if not base.startswith("https:") or record.output is None:
        return record.output
    numbers = iter(range(1_000_000))
    prefix = f"{base}/v1/predictions/{record.id}/files/{file_key(record)}"

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(one) for one in value]
        if isinstance(value, dict):
            return {name: replaced(one) for name, one in value.items()}
        if isinstance(value, str) and (match := _DATA.match(value)):
            return f"{prefix}/{next(numbers)}{mimetypes.guess_extension(match[1] or _DEFAULT_KIND) or ''}"
        return value

    return replaced(record.output)


def file_of(output: Any, number: int) -> OutputFile | None:
    """Return the file of that number in an output, counted as ``output_for`` does; ``None`` where there is none."""
    for index, url in enumerate(_data_urls(output)):
        if index == number:
            match = _DATA.match(url)
            assert match is not None, "this is a bug: only data URLs are counted"
            try:
                return OutputFile(match[1] or _DEFAULT_KIND, b64decode(url[match.end() :]))
            except binascii.Error:
                return None
    return None


def _data_urls(value: Any) -> Iterator[str]:
    if isinstance(value, str) and _DATA.match(value):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _data_urls(one)


def file_key(record: PredictionRecord) -> str:
    """Return the secret of a prediction's files, from which that of its stream cannot be told."""
    return hmac.new(record.stream_key.encode(), b"files of the output", hashlib.sha256).hexdigest()[:40]

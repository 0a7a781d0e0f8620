"""Bodies of requests as they arrive: counted against a limit, and decompressed."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from starlette.types import Message, Receive

from pilotlight.gateway.api.errors import ApiError, bad_request

# By content encoding, the format that ``zlib`` is told to read.
_FORMATS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def too_large(max_body_bytes: int) -> ApiError:
    """Return the error for a body that is too large."""
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than the {max_body_bytes:,} bytes that this gateway accepts.",
    )


def check_encoding(encoding: str) -> None:
    """Refuse a content encoding that cannot be read.

    Raises:
        ApiError: 415.
    """
    if encoding not in ("", "identity") and encoding not in _FORMATS:
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {encoding[:40]!r}: send the body as it is, or compressed by gzip or deflate.",
            headers={"Accept-Encoding": "gzip, deflate"},
        )


def read_body(receive: Receive, encoding: str, max_body_bytes: int) -> Receive:
    """Return ``receive`` with the limit on the body, which applies before and after it is decompressed.

    Args:
        receive: gives the messages of the request.
        encoding: the content encoding, which ``check_encoding`` has let pass.
        max_body_bytes: the largest body.
    """
    decompress = _Decompressor(_FORMATS[encoding], max_body_bytes) if encoding in _FORMATS else None
    received_bytes = 0

    async def read() -> Message:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > max_body_bytes:
            raise too_large(max_body_bytes)
        if decompress is None or message["type"] != "http.request":
            return message
        return {**message, "body": decompress(message.get("body", b""), last=not message.get("more_body", False))}

    return read


class _Decompressor:
    """Decompresses a body piece by piece, up to ``max_body_bytes`` in all."""

    def __init__(self, wbits: int, max_body_bytes: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self._max_body_bytes = max_body_bytes
        self._left_bytes = max_body_bytes

    def __call__(self, data: bytes, *, last: bool) -> bytes:
        try:
            # One more than allowed shows that there is more.
            found = self._zlib.decompress(data, self._left_bytes + 1)
        except zlib.error as error:
            raise bad_request(f"The body cannot be decompressed: {error}") from None
        self._left_bytes -= len(found)
        if self._left_bytes < 0:
            raise too_large(self._max_body_bytes)
        if self._zlib.unused_data or (last and not self._zlib.eof):
            raise bad_request("The body cannot be decompressed: its data ends before or after the body does.")
        return found

"""Decodes the body of an answer by its ``Content-Encoding``, in pieces: a small body cannot fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from pilotlight.errors import PilotlightError

_PIECE_BYTES = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


class EncodingError(PilotlightError):
    """A body is not what its ``Content-Encoding`` says."""


class Decoder:
    """Decodes ``gzip`` and ``deflate``; without an encoding, bytes stay as they are.

    Args:
        encoding: the header's value.

    Raises:
        EncodingError: the encoding is another one, or there are several.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        self._name = name
        if name in ("", "identity"):
            self._inner = None
        elif name in ("gzip", "x-gzip"):
            self._inner = zlib.decompressobj(_GZIP)
        elif name == "deflate":
            self._inner = zlib.decompressobj(_ZLIB)
        else:
            raise EncodingError(f"its Content-Encoding is {encoding[:40]!r}; gzip and deflate can be read")
        self._begun = False

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes of the body, in pieces of up to 1 MiB.

        Raises:
            EncodingError: the bytes are not of this encoding.
        """
        if self._inner is None:
            yield chunk
            return
        while chunk:
            if self._inner.eof:  # gzip allows several members, one after another
                self._inner = zlib.decompressobj(_GZIP)
            try:
                piece = self._inner.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                if self._name != "deflate" or self._begun:
                    raise EncodingError(f"its content is not {self._name}, as it says: {error}") from None
                self._inner, self._begun = zlib.decompressobj(_RAW), True  # as some servers understand deflate
                continue
            self._begun = True
            chunk = self._inner.unconsumed_tail or self._inner.unused_data
            if piece:
                yield piece

    def finish(self) -> None:
        """Check that the body has come to its end.

        Raises:
            EncodingError: it has not.
        """
        if self._inner is not None and self._begun and not self._inner.eof:
            raise EncodingError(f"its {self._name} content ends too early")

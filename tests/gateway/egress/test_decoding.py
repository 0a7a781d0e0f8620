"""Bodies by their ``Content-Encoding``."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway.egress.decoding import Decoder, EncodingError

TEXT = b"plain text body " * 100


def decoded(encoding, body, size=7):
    decoder = Decoder(encoding)
    pieces = [piece for at in range(0, len(body), size) for piece in decoder.decode(body[at : at + size])]
    decoder.finish()
    return b"".join(pieces)


def raw_deflate(content):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


@given(st.binary(max_size=2000), st.integers(1, 3000))
def test_the_content_is_what_was_encoded_however_it_arrives(content, size):
    assert decoded("", content, size) == decoded("identity", content, size) == content
    assert decoded("gzip", gzip.compress(content), size) == content
    assert decoded("X-GZIP", gzip.compress(content) + gzip.compress(b"more"), size) == content + b"more"
    assert decoded("deflate", zlib.compress(content), size) == content


def test_deflate_without_a_header_is_read_too():
    assert decoded("deflate", raw_deflate(TEXT), 4096) == TEXT


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("gzip", b"not gzip at all", "not gzip"),
        ("gzip", gzip.compress(TEXT)[:-9], "ends too early"),
        ("deflate", b"\xff\xff\xff", "not deflate"),
    ],
    ids=["another", "cut", "neither"],
)
def test_a_body_that_is_something_else_is_refused(encoding, body, words):
    with pytest.raises(EncodingError, match=words):
        decoded(encoding, body)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_an_encoding_that_cannot_be_read_is_named(encoding):
    with pytest.raises(EncodingError, match=f"{encoding!r}; gzip and deflate"):
        Decoder(encoding)


def test_a_small_body_with_a_large_content_comes_in_pieces():
    body = gzip.compress(bytes(50 << 20))
    assert len(body) < 100_000
    assert max(len(piece) for piece in Decoder("gzip").decode(body)) <= 1 << 20

"""Bodies that are compressed, or too large."""

import asyncio
import gzip
import json
import zlib

import pytest

from pilotlight.gateway.api.bodies import check_encoding, read_body
from pilotlight.gateway.api.errors import ApiError
from tests.gateway.made import run, served

TEXT = b"hello " * 100


def read(data, encoding, *, limit=1000, pieces=7):
    size = len(data) // pieces + 1
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]

    async def receive():
        return messages.pop(0)

    async def whole():
        reading = read_body(receive, encoding, limit)
        return b"".join([(await reading())["body"] for _ in range(len(messages))])

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("", TEXT), ("identity", TEXT), ("gzip", gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT))],
    ids=["none", "identity", "gzip", "deflate"],
)
def test_a_body_is_read_as_it_was_before_it_was_compressed(encoding, data):
    check_encoding(encoding)
    assert read(data, encoding) == read(data, encoding, pieces=1) == TEXT


@pytest.mark.parametrize("size", [1001, 10_000_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_limit_is_on_what_a_body_becomes(encoding, size):
    data = b"x" * size
    with pytest.raises(ApiError, match="larger than the 1,000 bytes"):
        read(gzip.compress(data) if encoding else data, encoding)
    assert len(read(gzip.compress(b"x" * 1000), "gzip")) == 1000


@pytest.mark.parametrize(
    "data",
    [b"hello", gzip.compress(TEXT)[:-1], gzip.compress(TEXT) + b"x", b"\x1f\x8b"],
    ids=["text", "too short", "too long", "the beginning"],
)
def test_what_is_no_compressed_body_is_refused(data):
    with pytest.raises(ApiError, match="cannot be decompressed"):
        read(data, "gzip", pieces=1)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_an_encoding_that_cannot_be_read_is_415(encoding):
    with pytest.raises(ApiError, match="compressed by gzip or deflate") as caught:
        check_encoding(encoding)
    assert (caught.value.status, caught.value.headers["Accept-Encoding"]) == (415, "gzip, deflate")


def test_a_compressed_prediction_is_run(tmp_path):
    async def scenario(client):
        content = gzip.compress(json.dumps({"input": {"prompt": "a" * 3000}}).encode())
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await client.post("/predict", content=content, headers=headers)
        assert answer.json()["output"] == ["a" * 3000]
        answer = await client.post("/predict", content=content[:-1], headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
        answer = await client.post("/predict", content=content, headers={**headers, "Content-Encoding": "br"})
        assert answer.status_code == 415

    async def whole():
        async with served(tmp_path) as client:
            await scenario(client)

    run(whole())

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.fetch.retry import RetryPolicy
from pilotlight.loading.fetch.sources import parse_source, parse_sums
from tests.loading.hub import sha256


@pytest.mark.parametrize(
    ("text", "label", "name"),
    [
        ("hf://org/name", "hf://org/name", "name"),
        ("hf://org/name@refs/pr/1", "hf://org/name@refs/pr/1", "name@refs-pr-1"),
        ("https://host/a/model", "https://host/a/model/", "model"),
        ("https://host/a/model/?sig=secret", "https://host/a/model/", "model"),
        ("https://host/a/model/SHA256SUMS", "https://host/a/model/", "model"),
        ("https://host/a/model/manifest.json", "https://host/a/model/", "model"),
        ("https://host/a/v1.5%20b/", "https://host/a/v1.5%20b/", "v1.5 b"),
        ("https://host", "https://host/", "host"),
        ("http://127.0.0.1:8/m", "http://127.0.0.1:8/m/", "m"),
        ("http://[::1]:8/m", "http://[::1]:8/m/", "m"),
        ("http://localhost/m", "http://localhost/m/", "m"),
    ],
)
def test_understood(text: str, label: str, name: str) -> None:
    source = parse_source(text)
    assert (source.label, source.default_name) == (label, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a source"),
        ("org/name", r"Did you mean hf://org/name\?"),
        ("hf://name", "give hf://org/name"),
        ("hf://org/../x", "give hf://org/name"),
        ("hf://org/name@", "give hf://org/name"),
        ("hf://a/b/c", "give hf://org/name"),
        ("s3://bucket/x", "s3:// is not a kind of source"),
        ("https://", "has no host"),
        ("https://host:port/x", "is not a URL"),
        ("https://me:secret@host/x", "user name or password"),
        ("http://example.com/m", r"not encrypted: use https, or --allow-http"),
        ("http://127.0.0.1.example.com/m", "not encrypted"),
        ("https://host/m/model.safetensors", "one file: give the URL of the folder"),
        ("https://host/m.tar", "one file"),
        ("file://host/x", "file:///absolute/path"),
        ("file:///no/such/folder", "is not a folder"),
    ],
)
def test_refused_with_what_to_change(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_source(text)
    assert "secret" not in str(caught.value)


def test_plain_http_where_it_is_allowed() -> None:
    assert parse_source("http://example.com/m", allow_http=True).label == "http://example.com/m/"


def test_a_folder_with_a_blank_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "my model ä").mkdir()
    source = parse_source((tmp_path / "my model ä").as_uri())
    assert source.default_name == "my model ä"


def test_sums() -> None:
    text = f"{sha256(b'a')}  a b.json\n{sha256(b'b').upper()} *./model.safetensors\n"
    assert parse_sums(text, where="s") == {"a b.json": sha256(b"a"), "model.safetensors": sha256(b"b")}
    with pytest.raises(WeightsError, match=r"^s, line 2: expected 64 hex digits"):
        parse_sums(f"{sha256(b'a')}  a\nMD5 (a) = 0\n", where="s")


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 300))
def test_waits_are_bounded_and_as_long_as_asked(failures: int, jitter: float, asked: float | None) -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=30)
    delay_s = policy.delay_s(failures, jitter=jitter, retry_after_s=asked)
    assert delay_s >= (asked or 0)
    assert 0.25 <= delay_s <= max(30, asked or 0)


def test_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=3)
    assert [policy.delay_s(n, jitter=1) for n in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 3, 3]
    assert policy.delay_s(1, jitter=0) == 0.25

"""Target strings, taken apart."""

import pytest

from pilotlight.client import Target, parse_target
from pilotlight.errors import UsageError

ID = "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("replicate:me/model", {"name": "me/model"}),
        (f"replicate:me/my-model_2.0:{ID}", {"name": "me/my-model_2.0", "version": ID}),
        ("replicate-deployment:me/model", {"name": "me/model"}),
        ("runpod:abc123", {"name": "abc123"}),
        ("gateway:http://127.0.0.1:8394", {"url": "http://127.0.0.1:8394"}),
        ("gateway:https://x.example/", {"url": "https://x.example"}),
        (f"gateway:http://[::1]:1/local/m:{ID}", {"url": "http://[::1]:1", "name": "local/m", "version": ID}),
        ("cog:http://localhost:5000", {"url": "http://localhost:5000"}),
        ("project:.", {"name": "."}),
        ("project:/a/b c:d", {"name": "/a/b c:d"}),
    ],
)
def test_target_is_understood(text, expected):
    kind = text.partition(":")[0]
    assert parse_target(text) == Target(text, kind, **expected)
    assert str(parse_target(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "replicate",
        "replicate:",
        "replicate:model",
        "replicate:me/model:v2",
        f"replicate-deployment:me/model:{ID}",
        "runpod:a/b",
        "gateway:127.0.0.1:8394",
        "gateway:ftp://host",
        "gateway:http://host:99999",
        "gateway:http://host/just-a-name",
        "gateway:http://host?x=1",
        "cog:http://host/predictions",
        "cog:https://host",
        "lambda:x",
    ],
)
def test_what_is_no_target_is_refused_with_its_text(text):
    with pytest.raises(UsageError, match="target") as caught:
        parse_target(text)
    assert repr(text) in str(caught.value)

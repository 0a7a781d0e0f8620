"""What keeps requests on one version."""

import pytest
from starlette.datastructures import Headers

from pilotlight.errors import ConfigError
from pilotlight.traffic import RequestKeys, StickyBy, parse_sticky


def test_it_is_a_header_an_input_or_nothing():
    assert parse_sticky(None) is None
    assert parse_sticky("header:X-User-Id") == StickyBy("header", "X-User-Id")
    assert parse_sticky("input:user_id") == StickyBy("input", "user_id")


@pytest.mark.parametrize("text", ["", "user", "header:", "header: a", "cookie:a", "input:a b", "header:a\n"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="header:NAME"):
        parse_sticky(text)


def test_a_requests_own_key_counts_first_then_what_the_deployment_names():
    headers = Headers({"X-User": "ann"})
    keys = RequestKeys(headers=headers, inputs={"user": "bob", "number": 7, "list": [1, 2], "empty": "", "none": None})
    assert keys.by(None) is None
    assert keys.by(StickyBy("header", "x-user")) == "ann"
    assert keys.by(StickyBy("header", "X-Other")) is None
    assert keys.by(StickyBy("input", "user")) == "bob"
    assert keys.by(StickyBy("input", "number")) == "7"
    assert keys.by(StickyBy("input", "list")) == "[1, 2]"
    assert [keys.by(StickyBy("input", name)) for name in ("empty", "none", "missing")] == [None] * 3
    assert RequestKeys("own", headers).by(StickyBy("header", "x-user")) == "own"
    assert RequestKeys("own").by(None) == "own"

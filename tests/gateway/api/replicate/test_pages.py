"""Lists in pages."""

import asyncio
import json
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.requests import Request

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.replicate.pages import page_response, read_cursor, read_time, write_cursor


def page(items, url="http://gw:1/v1/things?sort=x"):
    parts = urlsplit(url)
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": parts.scheme,
        "path": parts.path,
        "query_string": parts.query.encode(),
        "headers": [(b"host", parts.netloc.encode())],
        "root_path": "",
        "app": SimpleNamespace(state=SimpleNamespace(public_url=None)),
    }
    answer = asyncio.run(page_response(Request(scope), items, lambda item: {"name": item}, lambda item: item))
    found = json.loads(answer.body)
    return [one["name"] for one in found["results"]], found["previous"], found["next"]


def test_pages_lead_through_a_list_and_back_by_their_urls():
    items = [f"n{number:03}" for number in range(250)]
    first, none, following = page(items)
    assert (first, none) == (items[:100], None)
    assert following.startswith("http://gw:1/v1/things?")
    assert parse_qs(urlsplit(following).query)["sort"] == ["x"]
    second, _, following = page(items, following)
    third, previous, none = page(items, following)
    assert (second, third, none) == (items[100:200], items[200:], None)
    assert page(items, previous)[0] == second
    # What a page begins with is found where it is now, and its place where it is gone.
    _, _, following = page(items)
    assert page(["new", *items], following)[0] == items[100:200]
    assert page([item for item in items if item != "n100"], following)[0] == items[101:201]
    assert page(items[:5], following)[0] == items[4:5]
    assert page([]) == page([], following) == ([], None, None)


@pytest.mark.parametrize("cursor", ["x", "", "YmVmb3JlOi0x", "ä", "YmVmb3JlOjE5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_cursor_that_is_none_of_ours_is_refused(cursor):
    with pytest.raises(ApiError, match="is not a cursor"):
        read_cursor(cursor)
    with pytest.raises(ApiError, match="is not a cursor"):
        page(["a"], f"http://gw/v1/things?cursor={cursor}&x=1" if cursor else "http://gw/v1/things?cursor=eA")


def test_a_cursor_comes_back():
    assert read_cursor(write_cursor("before", 123)) == {"before": 123}


@pytest.mark.parametrize(
    "text", ["2026-01-31T09:00:00Z", "2026-01-31T10:00:00+01:00", "2026-01-31T10:00:00 01:00", "2026-01-31T09:00:00"]
)
def test_times_of_a_query_are_iso_8601_in_utc(text):
    assert read_time("created_after", text) == 1769850000.0
    assert read_time("created_after", None) is None
    with pytest.raises(ApiError, match=r"^created_after 'yesterday' is no time"):
        read_time("created_after", "yesterday")

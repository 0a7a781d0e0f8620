"""The page of all HTTP routes is as the declarations are."""

from pydantic import BaseModel

from pilotlight.gateway.app import ROUTES
from pilotlight.gateway.reference import http_reference
from tests.paths import ROOT

PAGE = ROOT / "docs/reference/http.md"


def test_the_page_is_fresh():
    assert PAGE.read_text() == http_reference(), (
        "docs/reference/http.md is older than the declarations of routes: run scripts/dev/write_reference.py"
    )


def test_every_route_has_a_row_and_every_body_its_fields():
    page = http_reference()
    for route in ROUTES:
        assert f"| `{route.label}` | {route.scope or 'open'} |" in page
        if route.body is not None:
            assert issubclass(route.body, BaseModel)
            section = page.partition(f"### `{route.label}`\n")[2].partition("\n#")[0]
            assert all(f"`{name}`" in section for name in route.body.model_fields)

"""Routes are declared once, and the router finds the route of a request once, for the security checks and itself."""

import re

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from pilotlight.gateway import Scope
from pilotlight.gateway.api.openapi_schemas import FREE
from pilotlight.gateway.api.routing import OPEN, MatchingRouter, Routes, as_json
from pilotlight.gateway.app import ROUTES
from tests.gateway.made import run, served

DONE = {200: as_json(FREE)}


class Body(BaseModel):
    count: int


def declared():
    routes = Routes("Things")

    @routes.add("GET", "/things/{owner}/{rest:path}", scope=Scope.READ, summary="Get a thing.", answers=DONE)
    async def get(request):
        return JSONResponse(request.path_params)

    @routes.add_with_body("POST", "/things", Body, scope=Scope.ADMIN, summary="Add things.", answers=DONE)
    async def add(_, body):
        return JSONResponse({"count": body.count})

    return routes.specs


class Matching:
    """The middleware of a test: it lets the router match, and notes what was found."""

    def __init__(self, app, *, router, found):
        self._app, self._router, self._found = app, router, found

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            route = self._router.match(scope)
            self._found.append(None if route is None else route.label)
        await self._app(scope, receive, send)


@pytest.fixture
def things():
    """An HTTP client of the declared routes, and what was matched."""
    found = []
    app = Starlette()
    app.router = MatchingRouter(declared())
    app.add_middleware(Matching, router=app.router, found=found)
    return TestClient(app, follow_redirects=False), found


def test_a_declaration_says_what_was_written():
    get, add = declared()
    assert (get.label, get.path_parameters, get.scope, get.group) == (
        "GET /things/{owner}/{rest}",
        ["owner", "rest"],
        Scope.READ,
        "Things",
    )
    assert (add.label, add.body, add.scope) == ("POST /things", Body, Scope.ADMIN)


def test_what_was_matched_is_what_runs(things):
    client, found = things
    assert client.get("/things/a/b/c").json() == {"owner": "a", "rest": "b/c"}
    assert client.head("/things/a/b").status_code == 200
    assert client.post("/things", json={"count": 3}).json() == {"count": 3}
    assert found == ["GET /things/{owner}/{rest}"] * 2 + ["POST /things"]


def test_what_has_no_route_is_answered_without_one(things):
    client, found = things
    wrong = client.delete("/things")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert "/things takes POST, not DELETE" in wrong.text
    none = client.get("/nothing")
    assert (none.status_code, "There is no route /nothing here" in none.text) == (404, True)
    slash = client.post("/things/")
    assert (slash.status_code, slash.headers["location"]) == (307, "/things")
    assert client.get("/").status_code == 404
    assert found == [None] * 4


def test_a_line_end_is_part_of_a_path():
    router = MatchingRouter(declared())
    for path in ("/things\n", "/things/a/b\n"):
        assert router.match({"path": path, "method": "POST"}) is None


def test_a_route_is_declared_once():
    with pytest.raises(AssertionError, match="POST /things is declared twice"):
        MatchingRouter([*declared(), *declared()[1:]])


# What a token for predictions must not do. A new route of this kind belongs in here.
ADMIN = {
    "POST /v1/models",
    "DELETE /v1/models/{owner}/{name}",
    "DELETE /v1/models/{owner}/{name}/versions/{id}",
    "POST /v1/deployments",
    "PATCH /v1/deployments/{owner}/{name}",
    "PATCH /v1/models/{owner}/{name}",
    "DELETE /v1/deployments/{owner}/{name}",
    "GET /v1/webhooks/default/secret",
}
# What is answered without a token: the page, health, and URLs that hold a secret.
WITHOUT_TOKEN = {
    "GET /",
    "GET /page/style.css",
    "GET /page/script.js",
    "GET /health",
    "GET /openai/health",
    "GET /v1/predictions/{id}/stream/{key}",
    "GET /v1/files/{id}/{key}/{name}",
    "GET /v1/files/{id}/download",
    "GET /v1/predictions/{id}/files/{key}/{name}",
}


def test_the_scopes_of_all_routes():
    def labels(scope):
        return {route.label for route in ROUTES if route.scope is scope}

    assert labels(Scope.ADMIN) == ADMIN
    assert labels(OPEN) == WITHOUT_TOKEN
    assert {route.method for route in ROUTES if route.scope is Scope.READ} == {"GET", "QUERY"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.label)
def test_every_route_asks_for_its_scope(tmp_path, route):
    async def scenario():
        async with served(tmp_path, token="given") as client:
            texts = {scope: client.tokens.create(scope, scope, 0.0)[1] for scope in Scope}
            path = re.sub(r"{\w+}", "none", route.plain_path)

            async def status(text):
                headers = {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}
                return (await client.request(route.method, path, headers=headers)).status_code

            refused = {scope for scope in Scope if await status(texts[scope]) == 403}
            assert refused == {scope for scope in Scope if route.scope is not OPEN and not scope.includes(route.scope)}
            assert (await status("wrong") == 401) is (route.scope is not OPEN)

    run(scenario())


def test_the_request_of_a_handler_has_its_body_read_once():
    (add,) = declared()[1:]

    async def receive():
        return {"type": "http.request", "body": b'{"count": 4}'}

    answer = run(add.endpoint(Request({"type": "http", "headers": []}, receive)))
    assert answer.body == b'{"count":4}'

"""The gateway's description of itself, held against what it does by schemathesis: random requests to every route.

scripts/checks/fuzz_gateway.py sends as many more as you like, to a real worker.
"""

import asyncio
import threading

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pilotlight.gateway.api import openapi
from pilotlight.gateway.app import ROUTES
from tests.gateway.made import served

DOCUMENT = openapi.document(ROUTES)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_every_route_for_programs_is_described_and_nothing_else():
    documented = {route.label for route in ROUTES if route.documented}
    assert documented - OPERATIONS.keys() == {"QUERY /v1/models"}
    assert OPERATIONS.keys() <= documented
    assert "QUERY /v1/models: Search" in DOCUMENT["info"]["description"]


def test_errors_follow_from_the_declaration():
    def statuses(label):
        (route,) = (one for one in ROUTES if one.label == label)
        return openapi.error_statuses(route)

    assert statuses("GET /health") == {404, 421, 503}
    assert statuses("GET /v1/models") == {400, 401, 421, 429, 503}
    assert statuses("GET /v1/models/{owner}/{name}") == {400, 401, 404, 421, 429, 503}
    assert statuses("POST /v1/models") == {400, 401, 403, 409, 413, 415, 421, 422, 429, 503}
    assert statuses("POST /v1/predictions/{id}/cancel") == {400, 401, 403, 404, 413, 415, 421, 429, 503}
    # OpenAI has no 422.
    assert statuses("POST /openai/v1/completions") == {400, 401, 403, 404, 409, 413, 415, 421, 429, 500, 503}


def test_every_reference_leads_somewhere():
    def references(one):
        if isinstance(one, dict):
            yield from [one["$ref"]] if isinstance(one.get("$ref"), str) else []
            one = list(one.values())
        if isinstance(one, list):
            for each in one:
                yield from references(each)

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT["paths"])) <= known
    assert set(references(DOCUMENT["components"])) <= known


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The URL of a gateway, on a thread of its own."""
    started, url, ending = threading.Event(), [], []

    async def whole():
        path = tmp_path_factory.mktemp("gateway")
        async with served(path) as client:
            ending.append((asyncio.get_running_loop(), asyncio.Event()))
            url.append(str(client.base_url).rstrip("/"))
            started.set()
            await ending[0][1].wait()

    thread = threading.Thread(target=asyncio.run, args=(whole(),))
    thread.start()
    assert started.wait(120)
    yield url[0]
    loop, event = ending[0]
    loop.call_soon_threadsafe(event.set)
    thread.join(120)


# What is there, so that not every path ends at a name that is not.
REAL = {"owner": "local", "name": "model1", "id": f"{1:064x}", "model": "local/model1"}


@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_sent_is_answered_as_described(gateway, label):
    operation = OPERATIONS[label]

    @settings(
        max_examples=8,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case):
        for path in (case.path_parameters, REAL):
            case.path_parameters = {name: path[name] for name in case.path_parameters or {} if name in path}
            if len(case.path_parameters) == len(operation.path_parameters):
                case.validate_response(case.call(base_url=gateway), checks=CHECKS)

    send()

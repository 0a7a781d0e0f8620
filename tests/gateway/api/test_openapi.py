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
from pilotlight.gateway.api import ops as ops_routes
from pilotlight.gateway.api import plain as plain_routes
from pilotlight.gateway.api.openai import routes as openai_routes
from pilotlight.gateway.api.replicate import account as account_routes
from pilotlight.gateway.api.replicate import deployments as deployment_routes
from pilotlight.gateway.api.replicate import files as file_routes
from pilotlight.gateway.api.replicate import models as model_routes
from pilotlight.gateway.api.replicate import predictions as prediction_routes
from tests.gateway.made import served

MODULES = (
    account_routes,
    prediction_routes,
    deployment_routes,
    file_routes,
    model_routes,
    openai_routes,
    openapi,
    plain_routes,
    ops_routes,
)
ROUTES = [route for module in MODULES for route in module.routes()]
DOCUMENT = openapi.document(ROUTES)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_every_route_is_described_and_nothing_else():
    labels = {label for label, _ in openapi.endpoints(ROUTES)}
    assert labels - openapi.OPERATIONS.keys() == {"QUERY /v1/models"}
    assert openapi.OPERATIONS.keys() <= labels


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
    assert started.wait(60)
    yield url[0]
    loop, event = ending[0]
    loop.call_soon_threadsafe(event.set)
    thread.join(60)


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

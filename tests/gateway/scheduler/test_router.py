"""Which version answers a request."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.scheduler.router import (
    ByDeployment,
    ByModel,
    ByOpenAIName,
    ByVersion,
    Default,
    Destination,
    route,
    traffic_of,
)
from pilotlight.traffic import RequestKeys
from tests.gateway.made import made_version
from tests.gateway.registered import MODEL, id_of, number_of, registered

PROJECT = "local/model7"


def deployment(name, **weights):
    """Of the versions ``v1``, ``v2``, ... with these weights."""
    traffic = tuple(Share(id_of(int(version[1:])), weight) for version, weight in weights.items())
    return Deployment(name, MODEL, traffic, "cpu", 0, 2, 5.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Versions 1, 2 and 3 of a model, and three deployments of them."""
    root = tmp_path_factory.mktemp("registry")
    deployments = Deployments(registered(root, 1, 2, 3))
    deployments.create(deployment("local/steady", v1=1.0))
    deployments.create(deployment("local/both", v1=3.0, v2=1.0))
    deployments.create(deployment("local/again", v1=3.0, v2=1.0))
    deployments.create(replace(deployment("local/sticky", v1=3.0, v2=1.0), sticky="header:X-User"))
    return root


@pytest.fixture(scope="module")
def catalog(root):
    """All of that, and one project, ``local/model7``."""
    found = Catalog([made_version(7)], registered(root))
    yield found
    found.close()


def everything(_):
    return True


@pytest.mark.parametrize(
    ("asked", "model", "number", "deployed"),
    [
        (ByVersion(id_of(1)), MODEL, 1, None),
        (ByVersion(f"{MODEL}:{id_of(2)}"), MODEL, 2, None),
        (ByVersion(MODEL), MODEL, 3, None),
        (ByVersion(PROJECT), PROJECT, 7, None),
        (ByModel(MODEL), MODEL, 3, None),
        (ByModel(PROJECT), PROJECT, 7, None),
        (ByDeployment("local/steady"), MODEL, 1, "local/steady"),
        (ByDeployment(PROJECT), PROJECT, 7, PROJECT),
        (ByOpenAIName(None, everything), PROJECT, 7, None),
        (ByOpenAIName("", everything), PROJECT, 7, None),
        (ByOpenAIName(MODEL, everything), MODEL, 3, None),
        (ByOpenAIName(f"{MODEL}:{id_of(3)}", everything), MODEL, 3, None),
        (ByOpenAIName(f"{MODEL}:{id_of(1)}", everything), MODEL, 1, None),
        (ByOpenAIName("local/steady", everything), MODEL, 1, "local/steady"),
        (ByOpenAIName(None, lambda version: version.pushed), MODEL, 3, None),
        (Default(), PROJECT, 7, None),
    ],
)
def test_each_way_of_asking_has_one_answer(catalog, asked, model, number, deployed):
    found = route(asked, catalog, RequestKeys(), "any")
    assert (found.version.model, number_of(found.version.id), found.deployment) == (model, number, deployed)
    assert found == Destination(found.version, deployed, shadows=())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (ByVersion(id_of(9)), "There is no version"),
        (ByVersion("acme/none"), "There is no model 'acme/none' here"),
        (ByVersion(f"acme/none:{id_of(1)}"), "There is no version"),
        (ByModel("acme/none"), "There is no model 'acme/none' here"),
        (ByDeployment("local/none"), "There is no deployment 'local/none' here"),
        (ByDeployment(MODEL), "There is no deployment"),
        (ByOpenAIName("gpt-9", everything), f"There is no model 'gpt-9' here; there is {PROJECT}, {MODEL}"),
        (
            ByOpenAIName("local/steady", lambda version: not version.pushed),
            "'local/steady' makes no text from a prompt",
        ),
        (ByOpenAIName(MODEL, lambda version: False), f"'{MODEL}' makes no text from a prompt; use its own route"),
        (ByOpenAIName(None, lambda version: False), "none: no served project makes text"),
    ],
)
def test_what_is_not_there_is_said(catalog, asked, message):
    with pytest.raises(MissingError, match=message):
        route(asked, catalog, RequestKeys(), "any")


def test_the_requests_of_a_deployment_are_divided_by_weight(catalog):
    found = Counter(
        number_of(route(ByDeployment("local/both"), catalog, RequestKeys(), str(n)).version.id) for n in range(4000)
    )
    # Five standard deviations of 4,000 draws with 0.75.
    assert abs(found[1] - 3000) < 137
    assert found.total() == found[1] + found[2]


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_keys_go_to_the_same_version_by_whichever_api(catalog, key):
    first = route(ByDeployment("local/both"), catalog, RequestKeys(), key)
    assert route(ByDeployment("local/both"), catalog, RequestKeys(), key) == first
    assert route(ByOpenAIName("local/both", everything), catalog, RequestKeys(), key) == first


def test_two_deployments_divide_the_same_keys_independently(catalog):
    keys = [str(n) for n in range(1000)]
    chosen = [
        [route(ByDeployment(name), catalog, RequestKeys(), key).version.id for key in keys]
        for name in ("local/both", "local/again")
    ]
    same = sum(a == b for a, b in zip(*chosen, strict=True))
    # Independent draws agree with 0.75² + 0.25² = 0.625.
    assert 540 < same < 710


def test_a_deployment_is_sticky_by_its_header_and_by_a_requests_own_key(catalog):
    asked = ByDeployment("local/sticky")

    def versions(keys):
        return {route(asked, catalog, keys, str(chance)).version.id for chance in range(100)}

    assert len(versions(RequestKeys())) == 2
    for user in map(str, range(20)):
        assert len(versions(RequestKeys(headers={"x-user": user}))) == 1
        assert len(versions(RequestKeys(key=user, headers={"x-user": "other"}))) == 1
        assert versions(RequestKeys(key=user)) == versions(RequestKeys(headers={"x-user": user}))


def test_a_change_of_weights_moves_no_key_that_can_stay(tmp_path):
    deployments = Deployments(registered(tmp_path, 1, 2, 3))
    deployments.create(deployment("local/d", v1=50.0, v2=30.0, v3=20.0))
    catalog = Catalog([], registered(tmp_path))
    before = [route(ByDeployment("local/d"), catalog, RequestKeys(key=str(n)), "").version.id for n in range(4000)]
    deployments.update("local/d", now=6.0, max_instances=4)  # a release that changes no weight
    shares = [Share(id_of(1), 40.0), Share(id_of(2), 30.0), Share(id_of(3), 30.0)]
    deployments.update("local/d", now=7.0, traffic=shares)
    after = [route(ByDeployment("local/d"), catalog, RequestKeys(key=str(n)), "").version.id for n in range(4000)]
    moved = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert moved == {(id_of(1), id_of(3))}
    catalog.close()


def test_weights_are_those_of_the_deployment():
    assert dict(traffic_of(deployment("local/d", v1=9.0, v2=1.0)).shares) == {id_of(1): 0.9, id_of(2): 0.1}


def test_a_request_for_nothing_in_particular_needs_a_single_model(tmp_path):
    catalog = Catalog([], registered(tmp_path))
    with pytest.raises(MissingError, match="Nothing has been pushed yet"):
        route(Default(), catalog, RequestKeys(), "")
    registered(tmp_path, 1)
    assert number_of(route(Default(), catalog, RequestKeys(), "").version.id) == 1
    registered(tmp_path, 1, model="acme/other")
    with pytest.raises(MissingError, match="serves 2 models"):
        route(Default(), catalog, RequestKeys(), "")
    catalog.close()


def test_a_damaged_version_says_so(tmp_path):
    registry = registered(tmp_path, 1)
    Deployments(registry).create(deployment("local/d", v1=1.0))
    shutil.rmtree(registry.folder(id_of(1)))
    catalog = Catalog([], registry)
    with pytest.raises(ConfigError):
        route(ByDeployment("local/d"), catalog, RequestKeys(), "")
    catalog.close()

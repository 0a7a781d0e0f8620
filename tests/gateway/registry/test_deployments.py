"""Deployments in the registry."""

import dataclasses

import pytest

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import ConflictError, MissingError
from tests.gateway.registered import MODEL, id_of, registered


@pytest.fixture
def registry(tmp_path):
    return registered(tmp_path, 1, 2)


def made(**changes):
    fields = {
        "deployment": "local/steady",
        "model": MODEL,
        "traffic": (Share(id_of(1)),),
        "hardware": "cpu",
        "min_instances": 0,
        "max_instances": 2,
        "created_at": 5.0,
    }
    return Deployment(**{**fields, **changes})


def test_is_kept_as_it_was_created(registry):
    deployments = Deployments(registry)
    deployments.create(made(deployment="local/b"))
    deployments.create(made(deployment="local/a", traffic=(Share(id_of(1), 9.0), Share(id_of(2), 1.0))))
    a, b = deployments.all()
    assert b == made(deployment="local/b")
    assert [(share.version, share.weight) for share in a.traffic] == [(id_of(1), 9.0), (id_of(2), 1.0)]


def test_every_update_is_a_release_unless_nothing_differs(registry):
    deployments = Deployments(registry)
    deployments.create(made())
    assert deployments.update("local/steady", now=6.0, max_instances=2) == made()
    updated = deployments.update("local/steady", now=7.0, version=id_of(2), min_instances=1, hardware="gpu")
    expected = made(traffic=(Share(id_of(2)),), min_instances=1, hardware="gpu")
    assert updated == dataclasses.replace(expected, number=2, created_at=7.0, earlier=(made().traffic,))
    assert deployments.all() == [updated]


def test_what_cannot_be_leaves_what_was(registry):
    deployments = Deployments(registry)
    with pytest.raises(MissingError, match="has no version 'x'"):
        deployments.create(made(traffic=(Share("x"),)))
    assert deployments.all() == []
    deployments.create(made())
    with pytest.raises(ConflictError, match="there is a deployment local/steady already"):
        deployments.create(made())
    with pytest.raises(ConflictError, match="At least 3 and at most 2 instances cannot be"):
        deployments.update("local/steady", now=6.0, min_instances=3)
    with pytest.raises(MissingError, match="has no version"):
        deployments.update("local/steady", now=6.0, version=id_of(3))
    with pytest.raises(MissingError, match="no deployment local/other"):
        deployments.update("local/other", now=6.0)
    assert deployments.all() == [made()]


def test_deleted_it_can_be_created_anew(registry):
    deployments = Deployments(registry)
    deployments.create(made())
    deployments.update("local/steady", now=7.0, max_instances=5)
    deployments.delete("local/steady")
    assert deployments.all() == []
    with pytest.raises(MissingError, match="no deployment local/steady"):
        deployments.delete("local/steady")
    deployments.create(made())
    assert deployments.all() == [made()]


def test_a_version_that_a_deployment_serves_cannot_be_deleted(registry):
    deployments = Deployments(registry)
    deployments.create(made())
    with pytest.raises(ConflictError, match="the deployment local/steady serves it"):
        registry.delete_version(MODEL, id_of(1))
    deployments.update("local/steady", now=7.0, version=id_of(2))
    registry.delete_version(MODEL, id_of(1))
    assert [one.id for one in registry.versions(MODEL)] == [id_of(2)]


def test_versions_with_weights_are_a_release_and_what_was_before_is_known(registry):
    deployments = Deployments(registry)
    deployments.create(made())
    halves = (Share(id_of(2), 1.0), Share(id_of(1), 1.0))
    updated = deployments.update("local/steady", now=6.0, traffic=halves, sticky="input:user")
    assert updated == made(
        traffic=(Share(id_of(1)), Share(id_of(2))),
        number=2,
        created_at=6.0,
        sticky="input:user",
        earlier=((Share(id_of(1)),),),
    )
    assert deployments.update("local/steady", now=7.0, traffic=halves) == updated  # in any order: nothing differs
    assert deployments.update("local/steady", now=8.0, max_instances=3).earlier == updated.earlier
    cleared = deployments.update("local/steady", now=9.0, sticky="", version=id_of(2))
    assert (cleared.sticky, cleared.earlier) == (None, (*updated.earlier, updated.traffic))
    assert deployments.find("local/steady") == cleared


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"traffic": ()}, ConflictError, "needs a version"),
        ({"traffic": (Share("a"), Share("a"))}, ConflictError, "a is given twice"),
        ({"traffic": (Share("a", 0.0),)}, ConfigError, "weight of a is 0.0"),
        ({"traffic": (Share("a", float("nan")),)}, ConfigError, "weight of a is nan"),
        ({"sticky": "cookie:a"}, ConfigError, "sticky is 'cookie:a'"),
        ({"sticky": "header:"}, ConfigError, "header:NAME"),
    ],
)
def test_what_cannot_be_divided_is_refused(fields, error, words):
    with pytest.raises(error, match=words):
        made(**fields)


def test_either_a_version_or_weights(registry):
    Deployments(registry).create(made())
    with pytest.raises(ConflictError, match="give either"):
        Deployments(registry).update("local/steady", now=6.0, version=id_of(2), traffic=[Share(id_of(1))])

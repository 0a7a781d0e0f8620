"""Deployments in the registry."""

import dataclasses

import pytest

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
    assert updated == dataclasses.replace(expected, number=2, created_at=7.0)
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

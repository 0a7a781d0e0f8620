"""What can be run, by name."""

import shutil

import pytest

from pilotlight.errors import ConfigError, UsageError
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.registry import Model
from pilotlight.gateway.registry.snapshot import Snapshot
from tests.gateway.made import DOCUMENT, made_version
from tests.gateway.registered import MODEL, id_of, number_of, registered


@pytest.fixture
def catalog(tmp_path):
    """One project, ``local/model7``, and the registry of ``tmp_path``."""
    found = Catalog([made_version(7)], registered(tmp_path))
    yield found
    found.close()


def named(versions):
    return [(version.model, number_of(version.id)) for version in versions]


def test_what_others_push_roll_back_and_delete_counts_at_once(catalog, tmp_path):
    assert named(catalog.current) == [("local/model7", 7)]
    registry = registered(tmp_path, 1, 2)
    registered(tmp_path, 1, model="acme/abc")
    assert named(catalog.current) == [("local/model7", 7), ("acme/abc", 1), (MODEL, 2)]
    assert named([catalog.latest(MODEL), catalog.find(id_of(1), MODEL)]) == [(MODEL, 2), (MODEL, 1)]
    assert named(catalog.versions(MODEL)) == [(MODEL, 2), (MODEL, 1)]
    registry.roll_back(MODEL, None, now=200.0)
    assert named([catalog.latest(MODEL)]) == [(MODEL, 1)]
    assert catalog.has(MODEL, id_of(2))
    registry.delete_version(MODEL, id_of(2))
    assert not catalog.has(MODEL, id_of(2))
    with pytest.raises(MissingError, match="There is no version"):
        catalog.find(id_of(2))


def test_an_id_alone_is_found_in_whichever_model_has_it(catalog, tmp_path):
    registered(tmp_path, 1)
    assert named([catalog.find(id_of(1)), catalog.find(made_version(7).id)]) == [(MODEL, 1), ("local/model7", 7)]
    for model in ("local/model7", "acme/other"):
        with pytest.raises(MissingError, match=f"There is no version '.*' of {model} here"):
            catalog.find(id_of(1), model)


def test_of_several_models_an_id_alone_is_that_of_the_one_where_it_is_current_and_was_first(catalog, tmp_path):
    registry = registered(tmp_path, 1, model="acme/first")
    snapshot = Snapshot(id_of(1), ())
    registry.add_version("acme/abc", snapshot, document=DOCUMENT, cog_version="0.23.1", now=500.0)
    assert named([catalog.find(id_of(1))]) == [("acme/first", 1)]
    registered(tmp_path, 2, model="acme/first")
    assert named([catalog.find(id_of(1)), catalog.find(id_of(2))]) == [("acme/abc", 1), ("acme/first", 2)]


def test_a_project_hides_a_pushed_model_of_its_name(catalog, tmp_path):
    registered(tmp_path, 1, model="local/model7")
    assert named(catalog.current) == named(catalog.versions("local/model7")) == [("local/model7", 7)]
    assert catalog.latest("local/model7").pushed is False
    assert [model.model for model in catalog.models] == ["local/model7"]


def test_a_model_without_a_version_is_listed_and_cannot_run(catalog, tmp_path):
    registered(tmp_path).create_model(Model("acme/empty", 1.0))
    assert [model.model for model in catalog.models] == ["local/model7", "acme/empty"]
    assert len(catalog.current) == 1
    with pytest.raises(MissingError, match=r"no version yet: pilotlight push DIR acme/empty"):
        catalog.latest("acme/empty")
    with pytest.raises(MissingError, match="There is no model 'acme/none' here"):
        catalog.latest("acme/none")


def test_a_damaged_version_is_left_out_of_lists_and_says_so_to_who_asks(catalog, tmp_path, caplog):
    registry = registered(tmp_path, 1, 2)
    shutil.rmtree(registry.folder(id_of(2)))
    for _ in range(2):
        assert named(catalog.current) == [("local/model7", 7)]
    assert named(catalog.versions(MODEL)) == [(MODEL, 1)]
    assert len([record for record in caplog.records if "is left out" in record.message]) == 1
    with pytest.raises(ConfigError, match="is not a folder"):
        catalog.latest(MODEL)


def test_deployments_say_what_is_wanted(catalog, tmp_path):
    registry = registered(tmp_path, 1, 2)
    Deployments(registry).create(Deployment("local/d", MODEL, (Share(id_of(1)),), "cpu", 0, 1, 5.0))
    first, second = catalog.find(id_of(1)), catalog.find(id_of(2))
    wanted = [
        (v.id, name) for v in (first, second) for name in (None, "local/d", "local/x") if catalog.is_wanted(v, name)
    ]
    assert wanted == [(first.id, "local/d"), (second.id, None)]
    assert catalog.created("local/d") == catalog.deployment("local/d")
    assert catalog.created("local/x") is None
    with pytest.raises(MissingError, match="There is no deployment 'local/x' here"):
        catalog.deployment("local/x")
    assert catalog.is_wanted(catalog.projects[0], None)


def test_two_projects_of_one_name_are_refused():
    with pytest.raises(UsageError, match="would both be local/model1"):
        Catalog([made_version(1), made_version(1)], None)
    assert named(Catalog([made_version(1)], None).current) == [("local/model1", 1)]

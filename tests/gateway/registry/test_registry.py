"""Models, versions, and which of them was current when."""

import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import StoreError, UsageError
from pilotlight.gateway.registry.names import ConflictError, MissingError, check_name, matching, previous
from pilotlight.gateway.registry.registry import Model, Registry
from tests.gateway.made import DOCUMENT
from tests.gateway.registered import MODEL, id_of, registered


def current(registry):
    return registry.model(MODEL).current


def test_the_version_added_last_is_current_and_the_first_makes_the_model(tmp_path):
    registry = registered(tmp_path, 1, 2)
    (model,) = registry.models()
    assert (model.model, model.current, model.created_at, model.visibility) == (MODEL, id_of(2), 101.0, "private")
    assert [(one.id, one.created_at) for one in registry.versions(MODEL)] == [(id_of(2), 102.0), (id_of(1), 101.0)]
    assert registry.document(MODEL, id_of(1)) == DOCUMENT
    assert registry.size_bytes(id_of(1)) == 1
    assert [(one.number, one.version, one.how) for one in registry.history(MODEL)] == [
        (1, id_of(1), "push"),
        (2, id_of(2), "push"),
    ]


def test_the_same_version_again_is_one_and_no_release(tmp_path):
    registry = registered(tmp_path, 1, 1)
    assert len(registry.versions()) == len(registry.history(MODEL)) == 1


def test_a_rollback_and_its_rollback(tmp_path):
    registry = registered(tmp_path, 1, 2, 3)
    assert registry.roll_back(MODEL, None, now=200.0) == (id_of(3), id_of(2))
    assert registry.roll_back(MODEL, None, now=201.0) == (id_of(2), id_of(3))
    assert registry.roll_back(MODEL, id_of(1), now=202.0) == (id_of(3), id_of(1))
    assert [one.how for one in registry.history(MODEL)] == ["push"] * 3 + ["rollback"] * 3
    assert current(registry) == id_of(1)
    registered(tmp_path, 2)
    assert current(registry) == id_of(2)


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (None, ConflictError, "there is none to go back to"),
        (id_of(1), ConflictError, "is the current version"),
        ("f" * 64, MissingError, "has no version 'f"),
        ("", MissingError, "has no version ''"),
    ],
)
def test_what_cannot_be_rolled_back_to(tmp_path, wanted, error, words):
    registry = registered(tmp_path, 1)
    with pytest.raises(error, match=words):
        registry.roll_back(MODEL, wanted, now=0.0)
    assert len(registry.history(MODEL)) == 1


def test_a_deleted_version_makes_room_for_the_one_before_it(tmp_path):
    registry = registered(tmp_path, 1, 2, 3)
    registry.delete_version(MODEL, id_of(3))
    assert current(registry) == id_of(2)
    assert registry.roll_back(MODEL, None, now=0.0) == (id_of(2), id_of(1))
    registry.delete_version(MODEL, id_of(1))
    with pytest.raises(MissingError, match="has no version"):
        registry.delete_version(MODEL, id_of(1))
    with pytest.raises(ConflictError, match="there is none to go back to"):
        registry.roll_back(MODEL, None, now=0.0)
    registry.delete_version(MODEL, id_of(2))
    assert current(registry) is None
    with pytest.raises(MissingError, match="no version yet"):
        registry.roll_back(MODEL, None, now=0.0)


def test_a_model_is_made_once_and_deleted_when_it_is_empty(tmp_path):
    registry = registered(tmp_path, 1)
    registry.create_model(Model("acme/empty", 5.0, description="none yet"))
    assert [(one.model, one.description) for one in registry.models()] == [("acme/empty", "none yet"), (MODEL, None)]
    with pytest.raises(ConflictError, match="there is a model acme/empty already"):
        registry.create_model(Model("acme/empty", 5.0))
    with pytest.raises(ConflictError, match="has versions"):
        registry.delete_model(MODEL)
    registry.delete_version(MODEL, id_of(1))
    for model in (MODEL, "acme/empty"):
        registry.delete_model(model)
    assert registry.models() == []
    with pytest.raises(MissingError, match="there is no model acme/empty"):
        registry.delete_model("acme/empty")


def test_a_version_of_two_models_is_needed_until_both_have_deleted_it(tmp_path):
    registry = registered(tmp_path, 1)
    registered(tmp_path, 1, model="acme/other")
    registry.delete_version(MODEL, id_of(1))
    assert registry.needed() == ({id_of(1)}, {"0" * 64})
    registry.delete_version("acme/other", id_of(1))
    assert registry.needed() == (set(), set())


def test_a_watch_sees_every_change_once(tmp_path):
    registry = registered(tmp_path, 1)
    watch = registry.watch()
    assert [watch.changed(), watch.changed()] == [True, False]
    registered(tmp_path, 2)
    assert [watch.changed(), watch.changed()] == [True, False]
    registry.versions()
    assert not watch.changed()
    watch.close()


def test_many_writers_at_once_lose_nothing(tmp_path):
    registry = registered(tmp_path, 1)
    names = [f"acme/m{number}" for number in range(24)]

    def create(mine):
        for name in mine:
            Registry(tmp_path).create_model(Model(name, 1.0))

    threads = [threading.Thread(target=create, args=(names[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert {one.model for one in registry.models()} == {MODEL, *names}


def test_a_registry_of_a_newer_pilotlight_or_no_database_is_refused(tmp_path):
    database = registered(tmp_path, 1).database
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="format 99, written by a newer pilotlight"):
        Registry(tmp_path).models()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "registry.sqlite3").write_text("not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Registry(tmp_path / "other").models()


@pytest.mark.parametrize(
    "name", ["acme", "acme/hello/x", "Acme/hello", "acme/", "/x", "a b/c", "acme/.x", "a/b:c", "a/" + "b" * 101]
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UsageError, match="give owner/name"):
        check_name(name)


@pytest.mark.parametrize("name", ["acme/hello", "a/1", "me-2/my_model.v1"])
def test_names(name):
    assert check_name(name) == name


VERSIONS = st.sampled_from("abcd")


@given(st.lists(VERSIONS, min_size=1, max_size=8), st.sets(VERSIONS))
def test_what_was_current_before(history, there):
    now = history[-1]
    found = previous(history, now, sorted(there))
    others = [version for version in history if version != now and version in there]
    assert found == (others[-1] if others else None)


def test_a_version_by_how_it_begins():
    assert matching(["ab1", "ab2", "c"], "ab2", MODEL) == "ab2"
    assert matching(["ab1", "ab2", "c"], "c", MODEL) == "c"
    with pytest.raises(UsageError, match="'ab' begins 2 versions"):
        matching(["ab1", "ab2", "c"], "ab", MODEL)

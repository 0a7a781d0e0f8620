"""What gc removes, and what it never does."""

import threading

import pytest

from pilotlight.errors import StoreError
from pilotlight.gateway.registry.gc import Lease, remove_unused
from tests.gateway.registered import MODEL, id_of, registered


def folders(registry):
    return {folder.name for folder in registry.folders.iterdir()}


def test_all_versions_of_all_models_stay(tmp_path):
    registry = registered(tmp_path, 1, 2)
    registered(tmp_path, 1, model="acme/other")
    registry.delete_version(MODEL, id_of(1))
    found = remove_unused(registry)
    assert (found.versions, found.in_use, found.blobs, found.leftovers, found.size_bytes) == ((), (), 0, 0, 0)
    assert folders(registry) == {id_of(1), id_of(2)}


def test_what_was_deleted_goes_unless_it_is_only_looked_for(tmp_path):
    registry = registered(tmp_path, 1, 2)
    (tmp_path / "file").write_text("content")
    registry.blobs.add(tmp_path / "file")
    registry.delete_version(MODEL, id_of(1))
    (registry.folders / ".draft").mkdir()
    looked = remove_unused(registry, dry_run=True)
    assert folders(registry) == {id_of(1), id_of(2), ".draft"}
    removed = remove_unused(registry)
    assert removed == looked
    assert (removed.versions, removed.blobs, removed.leftovers) == ((id_of(1),), 1, 1)
    assert removed.size_bytes > len("content")
    assert folders(registry) == {id_of(2)}
    assert list(registry.blobs.all()) == []


def test_what_is_leased_stays_until_the_lease_ends(tmp_path):
    registry = registered(tmp_path, 1, 2)
    leases = [Lease(registry.folder(id_of(1))) for _ in range(2)]
    registry.delete_version(MODEL, id_of(1))
    for lease in leases:
        assert remove_unused(registry).in_use == (id_of(1),)
        assert folders(registry) == {id_of(1), id_of(2)}
        lease.close()
        lease.close()
    assert remove_unused(registry).versions == (id_of(1),)


def test_it_waits_for_a_push(tmp_path):
    registry = registered(tmp_path, 1)
    waiting, done = threading.Event(), []
    thread = threading.Thread(target=lambda: done.append(remove_unused(registry, on_wait=waiting.set)))
    with registry.lock():
        thread.start()
        assert waiting.wait(120)
        assert done == []
    thread.join(120)
    assert len(done) == 1


def test_what_cannot_be_removed_is_named(tmp_path):
    registry = registered(tmp_path, 1)
    (registry.folders / "file").touch()
    with pytest.raises(StoreError, match="file cannot be removed"):
        remove_unused(registry)

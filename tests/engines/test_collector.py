from __future__ import annotations

import gc

import pytest

from pilotlight.engines.collector import freeze_early, paused_collector


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()


def test_off_inside_and_set_aside_afterwards() -> None:
    frozen = gc.get_freeze_count()
    with paused_collector():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)


def test_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), paused_collector():
        raise ValueError("no")
    assert gc.isenabled()


def test_one_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_objects_are_set_aside_early_inside_only() -> None:
    frozen = gc.get_freeze_count()
    freeze_early()
    assert gc.get_freeze_count() == frozen
    with paused_collector():
        freeze_early()
        assert gc.get_freeze_count() > frozen

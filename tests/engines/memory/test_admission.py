"""Requests enter a cache in their order, each with all the room that it can take."""

from __future__ import annotations

from pilotlight.engines.memory.admission import Admission
from pilotlight.engines.memory.layout import CacheLayout, LayerKind

ROOM = Admission(CacheLayout((LayerKind(1, 4),), 10), units=10, slots=3)


def test_requests_enter_while_there_is_room_for_all_that_they_can_become() -> None:
    admit = ROOM.entry([])
    assert [admit(41), admit(50), admit(1)] == [True, True, False]


def test_those_inside_keep_their_room() -> None:
    admit = ROOM.entry([55])
    assert [admit(41), admit(40), admit(1)] == [False, True, False]


def test_slots_bound_small_requests() -> None:
    admit = ROOM.entry([1, 1])
    assert [admit(1), admit(1)] == [True, False]


def test_the_whole_cache_fits_an_empty_one() -> None:
    assert ROOM.entry([])(100)
    assert not ROOM.entry([])(101)

"""The predictions that have not ended."""

from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.active_set import ActiveSet
from tests.gateway.made import made_record


def test_one_is_held_until_its_end_is_heard():
    held, queue = ActiveSet(), object()
    active = ActivePrediction(made_record("a"))
    held.add(active, queue)
    assert held.get("a") == (active, queue)
    held.ended(made_record("b"))
    assert held.get("a") == (active, queue)
    held.ended(active.record)
    held.ended(active.record)
    assert held.get("a") == (None, None)

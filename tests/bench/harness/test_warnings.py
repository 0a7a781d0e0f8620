"""When a machine was not at rest."""

from pilotlight.bench.harness.warnings import machine_warnings
from tests.bench.cold.cold_results import ENVIRONMENT


def test_a_machine_at_rest():
    assert machine_warnings(ENVIRONMENT, [None, 0.01]) == []
    assert machine_warnings(ENVIRONMENT, []) == []


def test_load_and_steal():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 2.5})
    load, steal = machine_warnings(busy, [0.0, 0.3, None])
    assert "load 2.5 on 4 cores" in load
    assert "30%" in steal

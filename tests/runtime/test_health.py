from datetime import UTC, datetime

import pytest

from pilotlight.runtime.health import Health, HealthStatus, decode_health, setup_failure

SETUP = {
    "started_at": "2026-11-23T03:55:26.754864039+00:00",
    "completed_at": "2026-11-23T03:55:27.107701032+00:00",
    "status": "succeeded",
    "logs": "[coglet] ready",
}


def test_an_answer_of_the_server():
    health = decode_health({"status": "READY", "setup": SETUP, "version": {}})
    assert health == Health(
        HealthStatus.READY,
        datetime(2026, 11, 23, 3, 55, 26, 754864, tzinfo=UTC),
        datetime(2026, 11, 23, 3, 55, 27, 107701, tzinfo=UTC),
        "[coglet] ready",
    )
    assert health.ready
    assert not health.lost


def test_an_answer_before_the_setup():
    assert decode_health({"status": "STARTING"}) == Health(HealthStatus.STARTING)


@pytest.mark.parametrize(
    ("status", "error", "ready", "lost"),
    [
        ("BUSY", None, True, False),
        ("STARTING", None, False, False),
        ("SETUP_FAILED", None, False, False),
        ("DEFUNCT", None, False, True),
        ("UNHEALTHY", "Healthcheck error: protocol error: healthcheck channel closed", False, True),
        ("UNHEALTHY", "Worker crashed", False, True),
        ("UNHEALTHY", "user-defined healthcheck returned False", False, False),
        ("UNHEALTHY", "healthcheck timed out", False, False),
    ],
)
def test_what_an_answer_means(status, error, ready, lost):
    health = decode_health({"status": status, "user_healthcheck_error": error})
    assert (health.ready, health.lost) == (ready, lost)


def test_the_reason_of_a_failed_setup():
    chain = "worker setup failed: worker setup failed (slot 18): Setup failed: setup failed: ValueError: no weights"
    assert setup_failure(chain) == "setup failed: ValueError: no weights"
    assert setup_failure("") == "no reason given"

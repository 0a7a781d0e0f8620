"""Values of a gateway's status as people read them. Pure; the templates use these functions as filters."""

from __future__ import annotations

from datetime import UTC, datetime

from pilotlight.gateway.scheduler.status import ModelStatus

# Where there is no value.
NONE = "\N{EN DASH}"


def seconds(value_s: float | None) -> str:
    """Return a duration with the digits that matter."""
    if value_s is None:
        return NONE
    if value_s < 0.9995:
        return f"{value_s * 1000:.0f} ms"
    return f"{value_s:.2f} s" if value_s < 9.995 else f"{value_s:.0f} s"


def percent(share: float | None) -> str:
    """Return a share of one."""
    return NONE if share is None else f"{share:.0%}"


def utc(time_s: float) -> datetime:
    """Return seconds since 1970 as a time."""
    return datetime.fromtimestamp(time_s, UTC)


def workers(model: ModelStatus) -> str:
    """Return how many workers a model has, by state."""
    counts = {"ready": model.ready_workers, "starting": model.starting_workers}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def running(model: ModelStatus) -> str:
    """Return how many predictions run, of how many could."""
    slots = model.ready_workers * model.slots
    return f"{model.running} of {slots}" if slots else str(model.running)


def ended(model: ModelStatus) -> str:
    """Return how many predictions have ended, by status, and how many were refused."""
    parts = [f"{count} {status}" for status, count in model.ended.items() if count]
    if model.refused:
        parts.append(f"{model.refused} refused")
    return ", ".join(parts) or NONE

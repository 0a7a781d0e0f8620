"""The health of a Cog server, as it reports it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class HealthStatus(StrEnum):
    """The states of a server, as Cog names them."""

    UNKNOWN = "UNKNOWN"
    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    SETUP_FAILED = "SETUP_FAILED"
    DEFUNCT = "DEFUNCT"
    UNHEALTHY = "UNHEALTHY"


# How the server words the loss of its Python process, as opposed to a predictor whose own healthcheck says no.
_LOST = re.compile(r"Healthcheck error: |Worker crashed|Failed to send: |worker fatal|panic", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Health:
    """One answer of ``/health-check``.

    Attributes:
        status: the state of the server.
        setup_started_at: when ``setup()`` began; ``None`` before.
        setup_completed_at: when it ended, either way.
        setup_logs: what the server noted of the setup; it may miss the last lines, which ``Worker.logs`` has.
        error: why it is unhealthy.
    """

    status: HealthStatus
    setup_started_at: datetime | None = None
    setup_completed_at: datetime | None = None
    setup_logs: str = ""
    error: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it serves predictions; busy means that all of its slots are taken now."""
        return self.status in (HealthStatus.READY, HealthStatus.BUSY)

    @property
    def lost(self) -> bool:
        """Whether its Python process is gone for good, while the server itself still answers."""
        if self.status is HealthStatus.DEFUNCT:
            return True
        return self.status is HealthStatus.UNHEALTHY and bool(_LOST.match(self.error or ""))


def decode_health(body: Mapping[str, Any]) -> Health:
    """Decode the body of ``/health-check``, which has the same shape under every HTTP status."""
    setup = body.get("setup") or {}
    return Health(
        status=HealthStatus(body["status"]),
        setup_started_at=_time(setup.get("started_at")),
        setup_completed_at=_time(setup.get("completed_at")),
        setup_logs=setup.get("logs") or "",
        error=body.get("user_healthcheck_error"),
    )


def setup_failure(logs: str) -> str:
    """Return the message of the exception, without the prefixes that the server puts before it."""
    return re.split(r"\bSetup failed: ", logs)[-1].strip() or "no reason given"


def _time(text: str | None) -> datetime | None:
    # Nine digits of a second, of which Python 3.11 reads only six.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)) if text else None

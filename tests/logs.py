"""What the package has logged: servers of other tests in the same process log too, on their own threads."""

from __future__ import annotations

import pytest


def own_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages of pilotlight's own loggers, oldest first."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("pilotlight.")]

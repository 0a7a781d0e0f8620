"""When to try again, and for how long to wait before that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.errors import FetchError
from pilotlight.loading.fetch.sources import TransientError
from pilotlight.util.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        retries: failures in a row before giving up; any progress starts the count again.
        base_s: the wait after the first failure, doubled by each further one.
        cap_s: the longest wait of our own choosing.
        patience_s: the longest wait that a server's ``Retry-After`` may ask for.
    """

    retries: int = 6
    base_s: float = 0.5
    cap_s: float = 30.0
    patience_s: float = 300.0

    def delay_s(self, failures: int, *, jitter: float, retry_after_s: float | None = None) -> float:
        """The wait after ``failures`` (1, 2, ...) in a row; ``jitter`` in 0..1 spreads clients that failed together.

        Half of the doubled wait is certain and half is jitter; never shorter than what the server asked for.
        """
        backoff = Backoff(self.base_s, self.cap_s, spread=0.5)
        return max(backoff.delay_s(failures, jitter=jitter), retry_after_s or 0.0)


class Retries:
    """The failures in a row of one piece of work."""

    def __init__(self, policy: RetryPolicy, note: Callable[[str], None]) -> None:
        self._policy = policy
        self._note = note
        self._failures = 0

    def progressed(self) -> None:
        """Something arrived: whatever fails next is a new trouble."""
        self._failures = 0

    async def wait_after(self, error: TransientError) -> None:
        """Wait before the next try.

        Raises:
            FetchError: there have been too many failures, or the server asks for too long a wait.
        """
        self._failures += 1
        asked = error.retry_after_s
        if asked is not None and asked > self._policy.patience_s:
            raise FetchError(f"{error}, and asks to wait {asked:.0f} s: try again then") from error
        if self._failures > self._policy.retries:
            raise FetchError(
                f"{error}, {self._failures} times in a row. "
                "The bytes already received are kept: run the same command again to resume"
            ) from error
        # Not a secret: spreads clients.
        delay_s = self._policy.delay_s(self._failures, jitter=random.random(), retry_after_s=asked)  # noqa: S311
        self._note(f"{error}; trying again in {delay_s:.1f} s")
        await asyncio.sleep(delay_s)

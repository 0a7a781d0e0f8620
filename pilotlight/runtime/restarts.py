"""When to start a worker again, and when to stop trying. Pure: the time is an argument.

A failure is a setup that failed or a worker that broke. After the first in a row the worker is started again at once,
after further ones with a delay that doubles. A worker that has stayed up for ``stable_s`` ends the row. After
``give_up_after`` failed setups in a row the project is crash-looping: it is not started again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pilotlight.util.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The limits.

    Attributes:
        first_delay_s: the wait after the second failure in a row; it doubles with each further one.
        max_delay_s: the longest wait.
        stable_s: how long a worker has to stay up to end a row of failures.
        give_up_after: failed setups in a row after which the worker is not started again.
    """

    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    stable_s: float = 60.0
    give_up_after: int = 4

    @property
    def backoff(self) -> Backoff:
        """The delays after the second failure in a row and further ones."""
        return Backoff(self.first_delay_s, self.max_delay_s)


@dataclass(frozen=True, slots=True)
class Restarts:
    """The failures so far.

    Attributes:
        failures: failures of any kind in a row.
        failed_setups: failed setups in a row.
        ready_at: when the worker that is up became ready; ``None`` when none is up.
        retry_at: the earliest time for the next start.
    """

    failures: int = 0
    failed_setups: int = 0
    ready_at: float | None = None
    retry_at: float = 0.0

    def became_ready(self, now: float) -> Restarts:
        """A setup has succeeded."""
        return replace(self, failed_setups=0, ready_at=now)

    def setup_failed(self, policy: RestartPolicy, now: float) -> Restarts:
        """A setup has failed, in whatever way."""
        failed = replace(self, failed_setups=self.failed_setups + 1, ready_at=None)
        return failed._failed(policy, now)

    def broke(self, policy: RestartPolicy, now: float) -> Restarts:
        """A worker that was ready has crashed, or had to be killed."""
        stable = self.ready_at is not None and now - self.ready_at >= policy.stable_s
        return replace(self, failures=0 if stable else self.failures, ready_at=None)._failed(policy, now)

    def crash_looping(self, policy: RestartPolicy) -> bool:
        """Return whether setups have failed too often in a row to try again."""
        return self.failed_setups >= policy.give_up_after

    def delay_s(self, now: float) -> float:
        """Return how long to wait before the next start; 0 for at once."""
        return max(0.0, self.retry_at - now)

    def _failed(self, policy: RestartPolicy, now: float) -> Restarts:
        return replace(self, failures=self.failures + 1, retry_at=policy.backoff.retry_at(self.failures, now))

"""When to start a worker again, and when to stop trying. Pure: the time is an argument.

A failure is a setup that failed or a worker that broke. The first in a row is answered at once, further ones after a
delay that doubles. A worker that has stayed up for a while ends the row. Setups that fail in a row for too often park
the project: nothing will change until somebody changes something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The limits.

    Attributes:
        first_delay_s: the wait after the second failure in a row; it doubles with each further one.
        max_delay_s: the longest wait.
        stable_s: how long a worker has to stay up to end a row of failures.
        park_after: failed setups in a row after which to give up.
    """

    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    stable_s: float = 60.0
    park_after: int = 4


@dataclass(frozen=True, slots=True)
class Restarts:
    """What has happened so far.

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

    def parked(self, policy: RestartPolicy) -> bool:
        """Whether to give up."""
        return self.failed_setups >= policy.park_after

    def delay_s(self, now: float) -> float:
        """How long to wait before the next start; 0 for at once."""
        return max(0.0, self.retry_at - now)

    def _failed(self, policy: RestartPolicy, now: float) -> Restarts:
        failures = self.failures + 1
        # The exponent is bounded because 2.0 ** 1024 overflows.
        delay_s = 0.0 if failures == 1 else policy.first_delay_s * 2.0 ** min(failures - 2, 64)
        return replace(self, failures=failures, retry_at=now + min(delay_s, policy.max_delay_s))

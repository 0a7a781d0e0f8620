"""How long to wait before the next try. Pure: the number of failures, the jitter and the time are arguments."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]

# 2.0 ** 1024 overflows; no delay in seconds that anybody waits for needs more than this many doublings.
_MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double with each failure in a row.

    Attributes:
        first_s: the delay after the first failure.
        max_s: the longest delay.
        spread: the share of a delay that jitter may take away, 0 to 1, so that those who failed together do not all
            come back together: with 0 the delay is always the whole one, with 1 it lies anywhere from 0 to that.
    """

    first_s: float
    max_s: float
    spread: float = 0.0

    def delay_s(self, failures: int, *, jitter: float = 1.0) -> float:
        """Return the delay after so many failures in a row; 0 before the first.

        Args:
            failures: in a row, so far.
            jitter: 0 to 1, drawn evenly by the caller; 1 is the longest delay.
        """
        if failures < 1:
            return 0.0
        whole_s = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return whole_s * (1.0 - self.spread + self.spread * jitter)

    def retry_at(self, failures: int, now: float, *, jitter: float = 1.0) -> float:
        """Return the earliest time for the next try, when the last of the failures was at ``now``."""
        return now + self.delay_s(failures, jitter=jitter)

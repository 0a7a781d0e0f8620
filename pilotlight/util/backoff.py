"""Back-off: the wait before the next try. Pure: number of failures, jitter and time are arguments."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]

# Limits the exponent, because 2.0 ** 1024 overflows; no useful delay in seconds needs more doublings.
_MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double with each failure in a row.

    Attributes:
        first_s: the delay after the first failure, in seconds.
        max_s: the longest delay, in seconds.
        spread: the share (0 to 1) of a delay that jitter may take away, so that clients that failed together do not
            retry together: with 0 the delay is always full, with 1 it lies anywhere from 0 to full.
    """

    first_s: float
    max_s: float
    spread: float = 0.0

    def delay_s(self, failures: int, *, jitter: float = 1.0) -> float:
        """Return the delay in seconds after a number of failures in a row; 0 before the first.

        Args:
            failures: failures in a row so far.
            jitter: 0 to 1, drawn evenly by the caller; 1 gives the longest delay.
        """
        if failures < 1:
            return 0.0
        whole_s = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return whole_s * (1.0 - self.spread + self.spread * jitter)

    def retry_at(self, failures: int, now: float, *, jitter: float = 1.0) -> float:
        """Return the earliest time of the next try, when the last failure was at ``now``."""
        return now + self.delay_s(failures, jitter=jitter)

"""How often a caller may call: a token bucket for each. Pure: every time is an argument."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Self

from pilotlight.errors import UsageError

_UNITS_S = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0}
_RATE = re.compile(r"([0-9]{1,9})\s*/\s*([a-z]+)")

# Beyond this the least recent callers are forgotten, so that unknown ones cannot fill the memory.
_MOST_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` requests in ``per_s`` seconds, at once or spread."""

    count: int
    per_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rate that a text such as ``600/min`` means.

        Raises:
            UsageError: it is not a rate.
        """
        match = _RATE.fullmatch(text.strip().lower())
        if match is None or match[2] not in _UNITS_S or int(match[1]) == 0:
            raise UsageError(f"{text!r} is not a rate: give a number of requests and a unit, such as 600/min or 10/s")
        return cls(int(match[1]), _UNITS_S[match[2]])


class Buckets:
    """A token bucket for each caller, full at first."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        # By caller, the time at which its bucket is full again.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """Take a token from the bucket of a caller; return 0.0, or the seconds until there is one."""
        each_s = self._rate.per_s / self._rate.count
        full_at = max(self._full_at.get(caller, now), now) + each_s
        if (early_s := full_at - now - self._rate.per_s) > 1e-9:
            return early_s
        self._full_at[caller] = full_at
        self._full_at.move_to_end(caller)
        if len(self._full_at) > _MOST_CALLERS:
            self._full_at.popitem(last=False)
        return 0.0

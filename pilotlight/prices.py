"""Hardware prices of each platform, from one dated and sourced file, and the cost of one prediction. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError

# Age in days after which prices should be checked. GPU prices of these platforms have changed about twice a year.
STALE_DAYS = 120

_SECONDS = {"second": 1.0, "hour": 3600.0}


@dataclass(frozen=True, slots=True)
class Tariff:
    """How one platform charges.

    Attributes:
        platform: such as ``runpod``.
        source: the page that the prices are from.
        billed: what is charged: ``cold_start``, ``predict``; or ``deployed`` if time is charged whether or not
            predictions run, so that a single prediction has no price.
        granularity_s: the charged time in seconds is rounded up to a multiple of this; 0: not rounded.
        note: what else is charged, in words.
        usd_per_s: US dollars per second, by the platform's name of the hardware.
    """

    platform: str
    source: str
    billed: tuple[str, ...]
    granularity_s: float
    note: str
    usd_per_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prices:
    """All tariffs, as of ``as_of``."""

    as_of: date
    tariffs: Mapping[str, Tariff]

    def stale(self, today: date) -> bool:
        """Return whether the prices are older than ``STALE_DAYS``."""
        return (today - self.as_of).days > STALE_DAYS


@cache
def load_prices() -> Prices:
    """Return the prices in the file of this package."""
    return parse_prices(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))


def parse_prices(text: str) -> Prices:
    """Parse the text of a price file.

    Raises:
        ConfigError: the text is not a price file; the message names the problem.
    """
    try:
        document = json.loads(text)
        if document["format"] != 1:
            raise ConfigError(f"price file: format {document['format']!r}; this release reads format 1")
        tariffs = {name: _tariff(name, one) for name, one in document["platforms"].items()}
        return Prices(date.fromisoformat(document["as_of"]), tariffs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"price file: {type(error).__name__}: {error}") from error


def _tariff(platform: str, one: Mapping[str, Any]) -> Tariff:
    seconds = _SECONDS[one["per"]]
    return Tariff(
        platform=platform,
        source=one["source"],
        billed=tuple(one["billed"]),
        granularity_s=float(one["granularity_s"]),
        note=one["note"],
        usd_per_s={name: price / seconds for name, price in one["hardware"].items()},
    )


def cost_usd(tariff: Tariff, hardware: str, *, cold_start_s: float | None, predict_s: float | None) -> float | None:
    """Return the cost of one prediction in US dollars; ``None`` if it has no price of its own, or a time is unknown.

    Raises:
        ConfigError: the platform has no such hardware.
    """
    if hardware not in tariff.usd_per_s:
        raise ConfigError(f"{tariff.platform} has no hardware {hardware!r}; known are {', '.join(tariff.usd_per_s)}")
    times = {"cold_start": cold_start_s, "predict": predict_s}
    billed_s = 0.0
    for phase in tariff.billed:
        time_s = times.get(phase)
        if time_s is None:
            return None
        billed_s += time_s
    if tariff.granularity_s:
        # Subtract a tolerance, so that 3.0000000001 s is not charged as 4.
        billed_s = math.ceil(billed_s / tariff.granularity_s - 1e-9) * tariff.granularity_s
    return billed_s * tariff.usd_per_s[hardware]

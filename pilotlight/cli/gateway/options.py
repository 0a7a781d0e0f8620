"""The options of ``pilotlight gateway`` that say who may do what, and what is kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from pilotlight.cli.common.durations import DURATION
from pilotlight.cli.common.sizes import SIZE
from pilotlight.gateway import EgressPolicy, Rate, RetentionPolicy

R = TypeVar("R")

_DEFAULT = RetentionPolicy()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What these options say.

    Attributes:
        token: the one of the command line, if any.
        rate: how often each caller may ask.
        reach: where webhooks may go, and inputs may come from.
        keep: what is kept of predictions.
    """

    token: str | None
    rate: Rate | None
    reach: EgressPolicy
    keep: RetentionPolicy


_OPTIONS = (
    click.option(
        "--token",
        envvar="PILOTLIGHT_TOKEN",
        show_envvar=True,
        help="What callers must send as Authorization: Bearer TOKEN, beside the tokens of `pilotlight token`. "
        "One or the other is required for a --host that others can reach.",
    ),
    click.option(
        "--rate-limit",
        metavar="COUNT/UNIT",
        help="How often each token may ask, such as 600/min; without tokens, each address. Unlimited by default.",
    ),
    click.option(
        "--allow-private-urls",
        is_flag=True,
        help="Send webhooks to, and fetch inputs from, addresses that are not public, such as 127.0.0.1 or 10.0.0.7.",
    ),
    click.option(
        "--allow-network",
        "allow_networks",
        multiple=True,
        metavar="CIDR",
        help="As --allow-private-urls, for the addresses in this network; any number of times.",
    ),
    click.option(
        "--keep",
        "keep_s",
        type=DURATION,
        default=_DEFAULT.data_s,
        show_default="7d",
        help="How long inputs, outputs and logs are kept after the end of a prediction.",
    ),
    click.option(
        "--keep-size",
        "keep_bytes",
        type=SIZE,
        default=_DEFAULT.size_bytes,
        show_default="2GiB",
        help="What the database may hold; beyond that the oldest predictions are forgotten before their time.",
    ),
)


def bounds_options(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command these options, and hands it what they say as ``bounds``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        token: str | None,
        rate_limit: str | None,
        allow_private_urls: bool,
        allow_networks: tuple[str, ...],
        keep_s: float,
        keep_bytes: int,
        **others: Any,
    ) -> R:
        bounds = Bounds(
            token=token or None,
            rate=None if rate_limit is None else Rate.parse(rate_limit),
            reach=EgressPolicy.of(allow_networks, everything=allow_private_urls),
            keep=RetentionPolicy(keep_s, keep_bytes),
        )
        return command(*args, bounds=bounds, **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped

"""The options of ``pilotlight serve`` that apply only to ``--on ray``; does not import Ray."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import click

from pilotlight.errors import UsageError


@dataclass(frozen=True, slots=True)
class RayOptions:
    """The given options; ``None`` for those not given."""

    replicas: tuple[int, int] | None
    address: str | None
    cpus: float | None
    gpus: float | None
    fronts: int | None
    max_waiting: int | None

    def refuse(self, platform: str) -> None:
        """Check that no option was given, for the other platforms.

        Raises:
            UsageError: an option was given.
        """
        if any(one is not None for one in astuple(self)):
            raise UsageError(
                f"--replicas and the options that begin with --ray are for --on ray, not for --on {platform}"
            )


def ray_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options to a command and pass them to it as one argument, ``ray``."""

    @click.option(
        "--replicas",
        callback=_parse_replicas,
        metavar="MIN:MAX",
        help="With --on ray: minimum and maximum number of Cog servers, scaled by load; or one number.  [default: 1]",
    )
    @click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="With --on ray: the cluster to join, such as auto.  [default: a new one, on this machine only]",
    )
    @click.option(
        "--ray-cpus",
        type=click.FloatRange(min=0),
        help="With --on ray: CPUs reserved for each replica.  [default: 0.5]",
    )
    @click.option("--ray-gpus", type=click.FloatRange(min=0), help="With --on ray: GPUs of each replica.  [default: 0]")
    @click.option(
        "--ray-fronts",
        type=click.IntRange(min=1),
        help="With --on ray: HTTP processes in front of the replicas.  [default: 1]",
    )
    @click.option(
        "--ray-max-waiting",
        type=click.IntRange(min=0),
        help="With --on ray: predictions that may wait in each HTTP process; further ones are refused.  [default: "
        "1024]",
    )
    @functools.wraps(command)
    def with_options(
        *args: Any,
        replicas: tuple[int, int] | None,
        ray_address: str | None,
        ray_cpus: float | None,
        ray_gpus: float | None,
        ray_fronts: int | None,
        ray_max_waiting: int | None,
        **kwargs: Any,
    ) -> int:
        options = RayOptions(replicas, ray_address, ray_cpus, ray_gpus, ray_fronts, ray_max_waiting)
        return command(*args, ray=options, **kwargs)

    return with_options


def _parse_replicas(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    low, colon, high = given.partition(":")
    try:
        least = int(low)
        most = int(high) if colon else least
    except ValueError:
        least, most = 0, 0
    if not 0 <= least <= most or most < 1:
        raise UsageError(f"--replicas {given!r}: give a number, or MIN:MAX such as 1:4")
    return least, most

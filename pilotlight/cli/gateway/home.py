"""The home of what was pushed, for every subcommand that looks there."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.storage import home

home_option = click.option(
    "--home",
    "home_folder",
    type=click.Path(path_type=Path),
    envvar=home.VARIABLE,
    show_envvar=True,
    default=Path("~/.pilotlight"),
    show_default=True,
    help="Where what was pushed is kept, and the predictions of the gateway.",
)


def registry_in(home_folder: Path) -> Registry:
    """The registry of a home, which is made if need be.

    Raises:
        UsageError: it cannot be used.
    """
    return Registry(home.made(home_folder.expanduser()))


def short(version: str) -> str:
    """As much of a version's id as people compare."""
    return version[:12]


def local_time(time_s: float) -> str:
    """Seconds since 1970 as people here read them."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """On a terminal in its width; elsewhere every row on one line, for grep."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000).print(table)

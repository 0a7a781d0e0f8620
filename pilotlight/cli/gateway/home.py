"""The option ``--home``, and helpers of the subcommands that read that folder: its registry, tables, ids and times."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from pilotlight.config.variables import HOME
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.storage import home
from pilotlight.util.terminal import escaped

home_option = click.option(
    "--home",
    "home_folder",
    type=click.Path(path_type=Path),
    envvar=HOME.name,
    show_envvar=True,
    default=HOME.default,
    show_default=True,
    help="The folder of pushed models, and of the gateway's predictions, uploads and tokens.",
)


def registry_in(home_folder: Path) -> Registry:
    """Return the registry in ``home_folder``, which is created if it does not exist.

    Raises:
        UsageError: the folder cannot be written.
    """
    return Registry(home.create(home_folder.expanduser()))


def short(version: str) -> str:
    """Return the first 12 digits of a version's id."""
    return version[:12]


def local_time(time_s: float) -> str:
    """Format seconds since 1970 in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: fitted to the width of a terminal, elsewhere with every row on one line, for grep."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    terminal = sys.stdout.isatty()
    for row in rows:
        table.add_row(*(escaped(cell, one_line=True) if terminal else cell for cell in row))
    Console(highlight=False, markup=False, width=None if terminal else 10_000).print(table)

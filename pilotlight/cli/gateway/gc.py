"""``pilotlight gc``: removes pushed files that no version refers to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
from rich.filesize import decimal

from pilotlight.cli.gateway.home import home_option, registry_in, short
from pilotlight.gateway.registry.gc import remove_unused


@click.command("gc", epilog="Example: pilotlight gc --dry-run")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@home_option
def command(dry_run: bool, as_json: bool, home_folder: Path) -> None:
    """Remove the files of deleted versions and of interrupted pushes.

    Versions that exist, current or not, and files that a running gateway uses are kept.
    """
    found = remove_unused(
        registry_in(home_folder),
        dry_run=dry_run,
        on_wait=lambda: click.echo("Waiting for a push, or another gc, to end.", err=True),
    )
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(found), "dry_run": dry_run}, indent=2))
        return
    for version in found.in_use:
        click.echo(f"{short(version)} is deleted, but a running gateway still uses it: kept for now")
    verb = "Would remove" if dry_run else "Removed"
    parts = (
        _count(len(found.versions), "version"),
        _count(found.blobs, "file"),
        _count(found.leftovers, "leftover of killed pushes", "leftovers of killed pushes"),
    )
    click.echo(f"{verb} {', '.join(parts)}: {decimal(found.size_bytes)}")


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {more or one + 's'}"

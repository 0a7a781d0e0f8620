"""``pilotlight bench merge``: merge several runs of one bench into one result."""

from __future__ import annotations

from pathlib import Path

import click

from pilotlight.bench.harness.documents import write_document
from pilotlight.bench.merging import merge_files
from pilotlight.errors import UsageError

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench merge monday.json tuesday.json --out both.json
"""


@click.command("merge", epilog=_EXAMPLES)
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where to write the merged result."
)
def command(results: tuple[Path, ...], out: Path) -> None:
    """Merge several results of bench cold, or of bench warm, into one.

    All must come from the same machine, software, settings, inputs and weights. If something differs, the command names
    it and writes nothing. Results of bench load cannot be merged.
    """
    if len(results) < 2:
        raise UsageError(f"merge: only {results[0]} given; give at least two results")
    merged = merge_files(results)
    write_document(merged, out)
    counts = ", ".join(f"{len(merged.measured(info.name))} of {info.name}" for info in merged.projects)
    click.echo(f"Written to: {out} (measured processes: {counts})", err=True)

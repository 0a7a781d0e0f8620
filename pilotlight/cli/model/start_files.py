"""``pilotlight start-files``: records the files that a cold start of a project reads, for ``read_ahead``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import click
from rich.filesize import decimal

from pilotlight.bench.cold.startfiles import record
from pilotlight.bench.harness.targets import BenchTarget, StartOptions, inputs_of
from pilotlight.cli.bench.options import input_option, make_inputs, timeout_option
from pilotlight.cli.common.options import environment_option, nearest_if_default, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project
from pilotlight.loading.start.start_files import NAME, FileRanges, write_list

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight start-files
  pilotlight start-files path/to/project -i prompt=Hello -e PILOTLIGHT_ENGINE=torch
"""


@click.command("start-files", epilog=_EXAMPLES)
@click.argument(
    "root", metavar="[PROJECT]", type=click.Path(path_type=Path), default=Path(), callback=nearest_if_default
)
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the list on stdout and write no file.")
def command(
    root: Path,
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    as_json: bool,
) -> None:
    """Record what a cold start of a Cog project reads, so that later starts read it ahead in one pass.

    Starts PROJECT (a folder with cog.yaml; default: this one) twice, with one prediction each, and writes
    start-files.json into it. Commit that file, and record it again when packages or weights change. `pilotlight
    predict`, `serve` and `gateway` use it for any project. To use it elsewhere, call
    pilotlight.loading.start.start_files.read_ahead(Path(__file__).parent) in predict.py after its imports. It helps
    when the page cache is empty, as on a new node. Only root can empty the whole page cache for the recording;
    otherwise files that other processes use are recorded whole.
    """
    target = BenchTarget("project", load_project(root))
    options = StartOptions(python, env, setup_timeout_s, predict_timeout_s)

    async def run() -> list[FileRanges]:
        inputs = await inputs_of(target, lambda document: make_inputs(flags, document), options)
        return await record(target.project, inputs, options, lambda text: click.echo(text.capitalize(), err=True))

    files = asyncio.run(run())
    read_bytes = sum(file.read_bytes for file in files)
    if as_json:
        listed = [{"path": file.path, "read_bytes": file.read_bytes, "ranges": file.ranges} for file in files]
        click.echo(json.dumps({"read_bytes": read_bytes, "files": listed}, indent=2))
        return
    path = target.project.root / NAME
    write_list(path, files)
    click.echo(f"A start reads {decimal(read_bytes)} of {len(files)} files. Written to: {path}")

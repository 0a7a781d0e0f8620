"""``pilotlight push``: stores a project as the current version of a model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.filesize import decimal

from pilotlight.cli.common.options import python_option
from pilotlight.cli.common.project import load_project
from pilotlight.cli.common.transfer_view import watching
from pilotlight.cli.gateway.home import home_option, registry_in, short
from pilotlight.errors import UsageError
from pilotlight.gateway.registry.push import Pushed, push
from pilotlight.runtime.project import nearest_project
from pilotlight.runtime.schema.image_check import image_warning

_EPILOG = """\b
Examples:
  pilotlight push acme/hello
  pilotlight push path/to/project acme/hello
  pilotlight push path/to/project acme/hello --allow-breaking --json
"""


@click.command("push", epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[DIR] [OWNER/NAME]")
@click.option("--allow-breaking", is_flag=True, help="Push even if callers of the current version break.")
@click.option(
    "--link",
    is_flag=True,
    help="Hard-link large files where the file system has no copy-on-write: no second copy on disk, but changing "
    "such a file in place also changes the pushed version.",
)
@home_option
@python_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and no progress.")
def command(
    names: tuple[str, ...], allow_breaking: bool, link: bool, home_folder: Path, python: Path, as_json: bool
) -> None:
    """Push the Cog project in DIR (default: the current folder) as a new version of OWNER/NAME (default: `model` in
    cog.yaml).

    Code, cog.yaml and weights are stored in --home, each file once by content. Hidden files, virtual environments,
    files listed in .dockerignore, and results of `predict` and `bench` under their default names are left out. The
    version id is a hash of these files. The push is refused if callers of the current version would break: an input was
    removed, became required or accepts less, or the output type changed. A running gateway serves the new version from
    the next prediction on.
    """
    root, model = _parse(names)
    registry = registry_in(home_folder)
    project = load_project(root)
    with watching(f"pushing {root.resolve().name}", quiet=as_json) as watcher:
        pushed = push(
            root,
            model,
            registry,
            now=time.time(),
            watcher=watcher,
            python=python,
            allow_breaking=allow_breaking,
            link=link,
        )
    warning = image_warning(project)
    if warning is not None:
        click.echo(f"Warning: {warning}", err=True)
    if as_json:
        _show_json(pushed)
    else:
        _show(pushed)


def _parse(names: tuple[str, ...]) -> tuple[Path, str | None]:
    """Return the folder and the model's name. A single argument is a folder if such a folder exists, else a name."""
    match names:
        case ():
            return nearest_project(Path()), None
        case (root, model):
            return Path(root), model
        case (only,):
            is_folder = Path(only).is_dir() or only.count("/") != 1
            return (Path(only), None) if is_folder else (nearest_project(Path()), only)
    raise UsageError(f"{len(names)} names: give a folder and an owner/name, or one of them")


def _show(pushed: Pushed) -> None:
    amount = f"{pushed.files} files, {decimal(pushed.size_bytes)}"
    name = f"{pushed.model}:{short(pushed.version)}"
    if pushed.before == pushed.version:
        click.echo(f"{name} is the current version already ({amount}): nothing has changed.")
        return
    before = "the first version" if pushed.before is None else f"in place of {short(pushed.before)}"
    again = "" if pushed.new else ", which was pushed before,"
    click.echo(f"{name}{again} is current now, {before} ({amount})")
    for one in pushed.incompatibilities:
        click.echo(f"  breaks callers: {one}", err=True)


def _show_json(pushed: Pushed) -> None:
    document = {
        "model": pushed.model,
        "version": pushed.version,
        "before": pushed.before,
        "new": pushed.new,
        "breaks": [{"where": one.where, "what": one.what} for one in pushed.incompatibilities],
        "files": pushed.files,
        "size_bytes": pushed.size_bytes,
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))

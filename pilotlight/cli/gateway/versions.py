"""``pilotlight versions``: lists pushed versions and when each was current."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.filesize import decimal

from pilotlight.cli.gateway.home import home_option, local_time, registry_in, short, show_table
from pilotlight.gateway.registry.registry import Registry

_EPILOG = """\b
Examples:
  pilotlight versions
  pilotlight versions acme/hello
  pilotlight versions acme/hello --json
  pilotlight versions acme/hello --delete 3f2a90bc
"""


@click.command("versions", epilog=_EPILOG)
@click.argument("model", required=False, metavar="[OWNER/NAME]")
@click.option("--delete", "unwanted", metavar="VERSION", help="Delete this version (an id or its beginning).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@home_option
def command(model: str | None, unwanted: str | None, as_json: bool, home_folder: Path) -> None:
    """List the versions of a model, newest first, and when each was current; without a name, list all models.

    --delete lets the version's accepted predictions finish and accepts no more. `pilotlight gc` then removes its files.
    """
    registry = registry_in(home_folder)
    if unwanted is not None:
        _delete(registry, model, unwanted)
    elif model is None:
        _show_models(registry, as_json=as_json)
    else:
        _show_versions(registry, model, as_json=as_json)


def _show_models(registry: Registry, *, as_json: bool) -> None:
    models = registry.models()
    counts = {one.model: len(registry.versions(one.model)) for one in models}
    if as_json:
        found = [{"model": one.model, "current": one.current, "versions": counts[one.model]} for one in models]
        click.echo(json.dumps(found, indent=2))
    elif not models:
        click.echo("Nothing has been pushed yet: pilotlight push DIR owner/name")
    else:
        rows = [(one.model, short(one.current or "-"), str(counts[one.model])) for one in models]
        show_table(("model", "current", "versions"), rows)


def _show_versions(registry: Registry, model: str, *, as_json: bool) -> None:
    current = registry.model(model).current
    versions = [(one, registry.size_bytes(one.id)) for one in registry.versions(model)]
    history = registry.history(model)
    if as_json:
        found = {
            "model": model,
            "current": current,
            "versions": [
                {
                    "id": one.id,
                    "created_at": one.created_at,
                    "cog_version": one.cog_version,
                    "size_bytes": size_bytes,
                    "folder": str(registry.folder(one.id)),
                }
                for one, size_bytes in versions
            ],
            "history": [{"version": one.version, "how": one.how, "at": one.created_at} for one in history],
        }
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        (
            short(one.id),
            "current" if one.id == current else "",
            local_time(one.created_at),
            one.cog_version,
            decimal(size_bytes),
        )
        for one, size_bytes in versions
    ]
    show_table(("version", "", "pushed", "cog", "size"), rows)
    click.echo()
    releases = [(local_time(one.created_at), short(one.version), one.how) for one in reversed(history)]
    show_table(("current since", "version", "by"), releases)


def _delete(registry: Registry, model: str | None, unwanted: str) -> None:
    if model is None:
        raise click.UsageError("--delete needs the OWNER/NAME whose version it is.")
    version = registry.find(model, unwanted)
    registry.delete_version(model, version)
    now = registry.model(model).current
    left = f"{short(now)} is current" if now else "it has no version left"
    click.echo(f"{model}:{short(version)} is deleted; {left}. `pilotlight gc` removes its files.")

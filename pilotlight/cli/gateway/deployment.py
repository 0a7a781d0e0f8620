"""``pilotlight deployment``: creates, changes, shows and deletes deployments in the gateway's folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from pilotlight.cli.gateway.home import home_option, local_time, registry_in, short, show_table
from pilotlight.errors import UsageError
from pilotlight.gateway.registry.deployments import MOST_INSTANCES, Deployment, Deployments, Share
from pilotlight.gateway.registry.names import check_name
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.versions import LOCAL

_EPILOG = """\b
Examples:
  pilotlight deployment create chat --model acme/hello --max 4
  pilotlight deployment set chat --traffic 3f2a90bc=95 --traffic 81d04c77=5 --sticky header:X-User-Id
  pilotlight deployment set chat --version 81d04c77
  pilotlight deployment show chat
  pilotlight deployment list --json
  pilotlight deployment delete chat
"""

_traffic_option = click.option(
    "--traffic",
    "traffic",
    metavar="VERSION=WEIGHT",
    multiple=True,
    help="A version (an id or its beginning) and its weight, in any unit; repeat for each version.",
)
_version_option = click.option("--version", metavar="VERSION", help="The version that gets all traffic.")
_sticky_option = click.option(
    "--sticky",
    metavar="header:NAME|input:NAME",
    help='Requests with the same value stay on one version; "" for none. The header Pilotlight-Key always does this.',
)
_min_option = click.option("--min", "min_instances", type=click.IntRange(0), help="Workers that are always there.")
_max_option = click.option(
    "--max", "max_instances", type=click.IntRange(1, MOST_INSTANCES), help="Most workers, of all versions together."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group("deployment", epilog=_EPILOG)
def command() -> None:
    """Manage deployments: names for versions of a model, with weights and limits of their own.

    NAME is owner/name; without an owner it is local/NAME. A running gateway applies changes to new predictions
    immediately; running predictions finish on their version. The route is POST /v1/deployments/OWNER/NAME/predictions.
    """


@command.command(epilog="Example: pilotlight deployment create chat --model acme/hello --max 4")
@click.argument("name")
@click.option("--model", required=True, metavar="OWNER/NAME", help="The model whose versions it serves.")
@_version_option
@_traffic_option
@_sticky_option
@_min_option
@_max_option
@_json_option
@home_option
def create(
    name: str,
    model: str,
    version: str | None,
    traffic: tuple[str, ...],
    sticky: str | None,
    min_instances: int | None,
    max_instances: int | None,
    as_json: bool,
    home_folder: Path,
) -> None:
    """Create a deployment; without --version or --traffic, of the current version of its model."""
    registry = registry_in(home_folder)
    shares = _shares(registry, model, version, traffic)
    if not shares:
        current = registry.model(model).current
        if current is None:
            raise UsageError(f"the model {model} has no version yet: pilotlight push DIR {model}")
        shares = (Share(current),)
    new = Deployment(
        deployment=_name(name),
        model=model,
        traffic=tuple(sorted(shares, key=lambda share: share.version)),
        hardware="local",
        min_instances=min_instances or 0,
        max_instances=max(1, min_instances or 0) if max_instances is None else max_instances,
        created_at=time.time(),
        sticky=sticky or None,
    )
    Deployments(registry).create(new)
    _show(new, as_json=as_json)


@command.command("set", epilog="Example: pilotlight deployment set chat --traffic 3f2a90bc=95 --traffic 81d04c77=5")
@click.argument("name")
@_version_option
@_traffic_option
@_sticky_option
@_min_option
@_max_option
@_json_option
@home_option
def change(
    name: str,
    version: str | None,
    traffic: tuple[str, ...],
    sticky: str | None,
    min_instances: int | None,
    max_instances: int | None,
    as_json: bool,
    home_folder: Path,
) -> None:
    """Change a deployment; what is not given stays. A change of weights moves as few requests as it can."""
    registry = registry_in(home_folder)
    before = _find(registry, name)
    after = Deployments(registry).update(
        before.deployment,
        now=time.time(),
        traffic=_shares(registry, before.model, version, traffic),
        sticky=sticky,
        min_instances=min_instances,
        max_instances=max_instances,
    )
    _show(after, as_json=as_json)


@command.command(epilog="Example: pilotlight deployment show chat")
@click.argument("name")
@_json_option
@home_option
def show(name: str, as_json: bool, home_folder: Path) -> None:
    """Show a deployment: its versions, their shares, and its limits."""
    _show(_find(registry_in(home_folder), name), as_json=as_json)


@command.command("list", epilog="Example: pilotlight deployment list --json")
@_json_option
@home_option
def list_all(as_json: bool, home_folder: Path) -> None:
    """List the deployments."""
    found = Deployments(registry_in(home_folder)).all()
    if as_json:
        click.echo(json.dumps([_document(one) for one in found], indent=2))
    elif not found:
        click.echo("There is no deployment yet: pilotlight deployment create NAME --model OWNER/NAME")
    else:
        rows = [(one.deployment, one.model, _shown_traffic(one), _shown_limits(one), str(one.number)) for one in found]
        show_table(("deployment", "model", "traffic", "workers", "release"), rows)


@command.command(epilog="Example: pilotlight deployment delete chat")
@click.argument("name")
@home_option
def delete(name: str, home_folder: Path) -> None:
    """Delete a deployment; its accepted predictions finish."""
    Deployments(registry_in(home_folder)).delete(_name(name))
    click.echo(f"{_name(name)} is deleted.")


def _name(given: str) -> str:
    return check_name(given if "/" in given else f"{LOCAL}/{given}")


def _find(registry: Registry, given: str) -> Deployment:
    return Deployments(registry).find(_name(given))


def _shares(registry: Registry, model: str, version: str | None, traffic: tuple[str, ...]) -> tuple[Share, ...]:
    """Return what --version or --traffic asks for; nothing where neither is given."""
    if version is not None and traffic:
        raise click.UsageError("Give either --version, which gets all traffic, or --traffic for each version.")
    if version is not None:
        return (Share(registry.find(model, version)),)
    return tuple(_share(registry, model, one) for one in traffic)


def _share(registry: Registry, model: str, text: str) -> Share:
    version, equals, weight = text.rpartition("=")
    try:
        number = float(weight.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not (equals and 0 < number < float("inf")):
        raise click.BadParameter(
            f"{text!r}: give VERSION=WEIGHT with a weight above 0, such as 3f2a90bc=95", param_hint="'--traffic'"
        )
    return Share(registry.find(model, version), number)


def _show(one: Deployment, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(one), indent=2))
        return
    click.echo(f"{one.deployment}: {one.model}, release {one.number} of {local_time(one.created_at)}")
    sticky = f"{one.sticky} or " if one.sticky else ""
    click.echo(f"{_shown_limits(one)} workers; requests stay on one version by {sticky}the header Pilotlight-Key\n")
    shares = _percent(one)
    show_table(
        ("version", "share", "weight"), [(short(s.version), shares[s.version], f"{s.weight:g}") for s in one.traffic]
    )


def _document(one: Deployment) -> dict[str, Any]:
    return {
        "deployment": one.deployment,
        "model": one.model,
        "release": one.number,
        "created_at": one.created_at,
        "traffic": [{"version": share.version, "weight": share.weight} for share in one.traffic],
        "sticky": one.sticky,
        "min_instances": one.min_instances,
        "max_instances": one.max_instances,
    }


def _percent(one: Deployment) -> dict[str, str]:
    total = sum(share.weight for share in one.traffic)
    return {share.version: f"{100 * share.weight / total:.4g} %" for share in one.traffic}


def _shown_traffic(one: Deployment) -> str:
    return ", ".join(f"{short(version)} {share}" for version, share in _percent(one).items())


def _shown_limits(one: Deployment) -> str:
    return f"{one.min_instances} to {one.max_instances}"

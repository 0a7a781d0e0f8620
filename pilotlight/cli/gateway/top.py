"""``pilotlight top``: shows the state of a running gateway, live on a terminal, once in a pipe."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotlight.cli.gateway.remote import remote, remote_options
from pilotlight.client.http import Http
from pilotlight.errors import TargetUnavailableError
from pilotlight.gateway.ui.format import seconds
from pilotlight.util.terminal import escaped

_EXAMPLES = """\b
Examples:
  pilotlight top
  pilotlight top --once
  pilotlight top --json | jq '.versions[] | {version, deployment, cold_share}'
"""
_COLORS = {
    **dict.fromkeys(("ready", "succeeded"), "green"),
    **dict.fromkeys(("starting", "processing"), "yellow"),
    **dict.fromkeys(("crash-looping", "failed"), "red"),
}
_SHOWN_PREDICTIONS = 10
# Width in columns at which the whole table fits; also assumed for a pipe.
_WIDE = 120


@click.command("top", epilog=_EXAMPLES)
@click.option("--once", is_flag=True, help="Show it once and end, as in a pipe.")
@click.option("--json", "as_json", is_flag=True, help="Print it once, as one JSON object.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to ask the gateway.",
)
@remote_options
def command(once: bool, as_json: bool, every_s: float, url: str, token: str | None) -> None:
    """Show the models of a running gateway: workers, queue, latency, cold-start rate, and the last predictions.

    A model with several versions or deployments has a row for each of them. Latencies are those of the last 200
    predictions of each version; with fewer than 59 there is no 95th percentile ("few"). Ctrl-C ends it.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    asyncio.run(_top(console, once=once, as_json=as_json, every_s=every_s, url=url, token=token))


async def _top(console: Console, *, once: bool, as_json: bool, every_s: float, url: str, token: str | None) -> None:
    async with remote(url, token) as http:
        status = await _status(http)
        if as_json:
            click.echo(json.dumps(status, indent=1))
        elif once or not console.is_terminal:
            status = _escaped(status) if console.is_terminal else status
            console.print(render(status, url, console.width))
        else:
            await _watch(http, console, _escaped(status), every_s=every_s, url=url)


async def _watch(http: Http, console: Console, status: dict[str, Any], *, every_s: float, url: str) -> NoReturn:
    """Show the status until Ctrl-C; reconnects to a gateway that is restarted meanwhile."""
    last_error = ""
    with Live(render(status, url, console.width), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(every_s)
            try:
                status, last_error = _escaped(await _status(http)), ""
            except TargetUnavailableError:
                last_error = "the gateway does not answer"
            live.update(render(status, url, console.width, last_error=last_error), refresh=True)


async def _status(http: Http) -> dict[str, Any]:
    found: dict[str, Any] = await http.call("GET", "/status")
    return found


def _escaped(value: Any) -> Any:
    """Return a JSON value whose texts can be shown on a terminal: names of models come from whoever pushed them."""
    if isinstance(value, str):
        return escaped(value, one_line=True)
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value


def render(status: Mapping[str, Any], url: str, width: int, *, last_error: str = "") -> Group:
    """Return the response of ``GET /status`` as tables for a width in columns of text. Pure."""
    at = datetime.fromtimestamp(status["now"]).astimezone()
    last_error = last_error or ("stopping" if status["stopping"] else "")
    head = Text.assemble((f"{url}  {at:%H:%M:%S}  ", "dim"), (last_error, "red"))
    wide = width >= _WIDE
    tables = [_models(status["models"], wide=wide)]
    if several := _several(status.get("versions", [])):
        tables.append(_versions(several, wide=wide))
    tables.append(_predictions(status["predictions"]))
    spaced: list[RenderableType] = [head]
    for table in tables:
        spaced += [Text(), table]
    return Group(*spaced)


def _models(models: list[dict[str, Any]], *, wide: bool) -> Table:
    """Return a table of all models; on a narrow terminal without the least important columns."""
    table = _table("model", "state")
    for name in ("workers", "run", "wait", "median", "p95", *(("first output",) if wide else ()), "ok", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in (*(("refused",) if wide else ()), "cold"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in models:
        starting = f" +{one['starting_workers']}" if one["starting_workers"] else ""
        table.add_row(
            f"{one['model']}:{one['version'][:12]}" if wide else one["model"],
            _colored(one["state"]),
            f"{one['ready_workers']}{starting}",
            f"{one['running']}/{one['ready_workers'] * one['slots']}",
            str(one["waiting"]),
            _time(one["total_s"]["p50_s"]),
            _p95(one["total_s"]),
            *([_time(one["first_chunk_s"]["p50_s"])] if wide else []),
            str(one["ended"]["succeeded"]),
            str(one["ended"]["failed"]),
            *([str(one["refused"])] if wide else []),
            _share(one["cold_share"]),
        )
    return table


def _several(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the versions of models that have several versions, or one version in several deployments."""
    count = Counter(one["model"] for one in versions)
    return [one for one in versions if count[one["model"]] > 1]


def _versions(versions: list[dict[str, Any]], *, wide: bool) -> Table:
    """Return a table that compares versions; on a narrow terminal without the least important columns."""
    table = _table(*(("model",) if wide else ()), "version", "deployment")
    queue, tail = (("run", "wait"), ("p95",)) if wide else ((), ())
    for name in ("traffic", "workers", *queue, "median", *tail, "ok", "failed", "cold"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in versions:
        starting = f" +{one['starting_workers']}" if one["starting_workers"] else ""
        table.add_row(
            *([one["model"]] if wide else []),
            one["version"][:12],
            one["deployment"] or "-",
            f"{one['traffic_share']:.0%}",
            f"{one['ready_workers']}{starting}",
            *([str(one["running"]), str(one["waiting"])] if wide else []),
            _time(one["total_s"]["p50_s"]),
            *([_p95(one["total_s"])] if wide else []),
            str(one["ended"]["succeeded"]),
            str(one["ended"]["failed"]),
            _share(one["cold_share"]),
        )
    return table


def _predictions(predictions: list[dict[str, Any]]) -> Table:
    table = _table("prediction", "model", "status")
    for name in ("queue", "cold start", "worker"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in predictions[:_SHOWN_PREDICTIONS]:
        times = (one["queue_s"], one["cold_start_s"] or None, one["predict_s"])
        table.add_row(one["id"], one["model"], _colored(one["status"]), *map(_time, times))
    return table


def _time(value_s: float | None) -> str:
    return "-" if value_s is None else seconds(value_s)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _p95(times: Mapping[str, Any]) -> str:
    return "few" if times["n"] and times["p95_s"] is None else _time(times["p95_s"])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _colored(word: str) -> Text:
    return Text(word, style=_COLORS.get(word, ""))

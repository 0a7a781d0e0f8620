"""``pilotlight top``: how a running gateway stands, live on a terminal, once in a pipe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotlight.cli.gateway.remote import remote, remote_options
from pilotlight.client.http import Http
from pilotlight.errors import TargetUnavailableError
from pilotlight.gateway.ui.format import seconds

_EXAMPLES = """\b
Examples:
  pilotlight top
  pilotlight top --once
  pilotlight top --json | jq '.models[].waiting'
"""
_COLORS = {
    **dict.fromkeys(("ready", "succeeded"), "green"),
    **dict.fromkeys(("starting", "processing"), "yellow"),
    **dict.fromkeys(("crash-looping", "failed"), "red"),
}
_SHOWN_PREDICTIONS = 10
# From so many columns of text on, every column of the table fits; a pipe is as wide.
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
    help="How often to look.",
)
@remote_options
def command(once: bool, as_json: bool, every_s: float, url: str, token: str | None) -> None:
    """Show the models of a running gateway: workers, queue, latency, share of cold starts, and the last predictions.

    Times are of the last 200 predictions of each model; the 95th percentile of fewer than 59 is not told ("few").
    Ctrl-C ends it.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    asyncio.run(_top(console, once=once, as_json=as_json, every_s=every_s, url=url, token=token))


async def _top(console: Console, *, once: bool, as_json: bool, every_s: float, url: str, token: str | None) -> None:
    async with remote(url, token) as http:
        status = await _look(http)
        if as_json:
            click.echo(json.dumps(status, indent=1))
        elif once or not console.is_terminal:
            console.print(render(status, url, console.width))
        else:
            await _watch(http, console, status, every_s=every_s, url=url)


async def _watch(http: Http, console: Console, status: dict[str, Any], *, every_s: float, url: str) -> NoReturn:
    """Until it is interrupted; a gateway that is started again meanwhile is found again."""
    last_error = ""
    with Live(render(status, url, console.width), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(every_s)
            try:
                status, last_error = await _look(http), ""
            except TargetUnavailableError:
                last_error = "the gateway does not answer"
            live.update(render(status, url, console.width, last_error=last_error), refresh=True)


async def _look(http: Http) -> dict[str, Any]:
    found: dict[str, Any] = await http.call("GET", "/status")
    return found


def render(status: Mapping[str, Any], url: str, width: int, *, last_error: str = "") -> Group:
    """The answer of ``GET /status`` as two tables, for so many columns of text. Pure."""
    at = datetime.fromtimestamp(status["now"]).astimezone()
    last_error = last_error or ("stopping" if status["stopping"] else "")
    head = Text.assemble((f"{url}  {at:%H:%M:%S}  ", "dim"), (last_error, "red"))
    models = _models(status["models"], wide=width >= _WIDE)
    return Group(head, Text(), models, Text(), _predictions(status["predictions"]))


def _models(models: list[dict[str, Any]], *, wide: bool) -> Table:
    """A narrow terminal goes without what can be asked for by ``--json``."""
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
            "-" if one["cold_share"] is None else f"{one['cold_share']:.0%}",
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


def _p95(spread: Mapping[str, Any]) -> str:
    return "few" if spread["n"] and spread["p95_s"] is None else _time(spread["p95_s"])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _colored(word: str) -> Text:
    return Text(word, style=_COLORS.get(word, ""))

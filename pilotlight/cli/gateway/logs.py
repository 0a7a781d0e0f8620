"""``pilotlight logs``: the output of a running gateway's workers and predictions."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from datetime import datetime
from typing import Any

import click

from pilotlight.cli.common.echo import echo_foreign, shown
from pilotlight.cli.gateway.remote import remote, remote_options
from pilotlight.client.http import Http
from pilotlight.errors import TargetMissingError, UsageError

_EXAMPLES = """\b
Examples:
  pilotlight logs -f
  pilotlight logs local/pilotlight -n 20
  pilotlight logs 7j4e7pyphb4d97wtijf0uy6ew1
"""
# A gateway sends a ping after 15 s without other events.
_SILENCE_S = 60.0


@click.command("logs", epilog=_EXAMPLES)
@click.argument("what", metavar="[MODEL|PREDICTION]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow new lines until Ctrl-C or the end of the prediction.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(0, 5000),
    default=100,
    show_default=True,
    help="Number of earlier lines to show first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every line as a JSON object.")
@remote_options
def command(what: str | None, follow: bool, tail: int, as_json: bool, url: str, token: str | None) -> None:
    """Show the logs of workers and predictions: of all models, of MODEL (owner/name), or of one PREDICTION."""
    asyncio.run(_logs(what, follow=follow, tail=tail, as_json=as_json, url=url, token=token))


async def _logs(what: str | None, *, follow: bool, tail: int, as_json: bool, url: str, token: str | None) -> None:
    async with remote(url, token) as http:
        if what is None or "/" in what:
            await _of_models(http, what, follow=follow, tail=tail, as_json=as_json)
        else:
            await _of_prediction(http, what, follow=follow, as_json=as_json)


async def _of_models(http: Http, model: str | None, *, follow: bool, tail: int, as_json: bool) -> None:
    query = {"tail": str(tail), **({"model": model} if model else {})}
    if not follow:
        for line in (await http.call("GET", f"/logs?{urllib.parse.urlencode(query)}"))["lines"]:
            _show(line, as_json=as_json, named=model is None)
        return
    path = f"/logs?{urllib.parse.urlencode({**query, 'follow': '1'})}"
    async with http.events(path, silence_s=_SILENCE_S) as events:
        async for event in events:
            if event.event == "line":
                _show(json.loads(event.data), as_json=as_json, named=model is None)


async def _of_prediction(http: Http, prediction_id: str, *, follow: bool, as_json: bool) -> None:
    try:
        found = await http.call("GET", f"/v1/predictions/{urllib.parse.quote(prediction_id, safe='')}")
    except TargetMissingError:
        raise UsageError(
            f"there is no prediction {prediction_id!r} at this gateway; give the id of one, or a model as owner/name"
        ) from None
    if not follow:
        _show_text(found["logs"], prediction_id, as_json=as_json)
        return
    async with http.events(found["urls"]["stream"], silence_s=_SILENCE_S) as events:
        async for event in events:
            if event.event == "logs":
                _show_text(event.data, prediction_id, as_json=as_json)
            elif event.event == "done":
                return


def _show(line: dict[str, Any], *, as_json: bool, named: bool) -> None:
    if as_json:
        echo_foreign(json.dumps(line, ensure_ascii=False))
        return
    at = datetime.fromtimestamp(line["at"]).astimezone()
    model = f" {line['model']}" if named else ""
    prediction = f" {line['prediction'][:8]}" if line["prediction"] else ""
    click.echo(f"{click.style(f'{at:%H:%M:%S}{shown(model + prediction)}', dim=True)} {shown(line['text'])}")


def _show_text(text: str, prediction_id: str, *, as_json: bool) -> None:
    for line in text.splitlines():
        echo_foreign(json.dumps({"prediction": prediction_id, "text": line}, ensure_ascii=False) if as_json else line)

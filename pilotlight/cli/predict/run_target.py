"""``pilotlight run``: runs one prediction on any target, with the flags of ``pilotlight predict``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.cli.common.options import inputs_option, output_option
from pilotlight.cli.common.output import Printer
from pilotlight.cli.common.values import inputs_from_flags
from pilotlight.client import AsyncClient, Result, Timeouts
from pilotlight.errors import PredictionFailedError, UsageError
from pilotlight.runtime.predictor_schema import OutputKind, PredictorSchema
from pilotlight.types import Prediction, Status

_EXAMPLES = """\b
Targets:
  project:DIR                         a Cog project, started here
  cog:http://127.0.0.1:5000           a running Cog server
  gateway:http://127.0.0.1:8394       a pilotlight gateway; /OWNER/NAME[:VERSION] names a model
  replicate:OWNER/NAME[:VERSION]      with REPLICATE_API_TOKEN
  replicate-deployment:OWNER/NAME     with REPLICATE_API_TOKEN
  runpod:ENDPOINT                     with RUNPOD_API_KEY
  sagemaker:NAME                      with AWS's own variables and boto3
  vertex:projects/P/locations/L/endpoints/E    with CLOUDSDK_AUTH_ACCESS_TOKEN

\b
Examples:
  pilotlight run project:. -i prompt="def main(args):"
  pilotlight run gateway:http://127.0.0.1:8394 -i prompt=hello --timeout 60 --json
  pilotlight run replicate:me/model -i image=@photo.jpg --hardware gpu-t4 -o result.png
"""


@click.command("run", epilog=_EXAMPLES)
@click.argument("target")
@inputs_option
@output_option
@click.option("--json", "as_json", is_flag=True, help="Print the prediction as one JSON object.")
@click.option("--token", help="Token of the target's API; default: the target's own environment variable.")
@click.option("--url", help="URL of the target's API, if it is not the default one.")
@click.option("--hardware", help="Hardware of the target, as `pilotlight prices` names it, to show the cost.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=Timeouts().total_s,
    show_default=True,
    help="Seconds for the whole call, after which the prediction is cancelled on the target.",
)
def command(
    target: str,
    flags: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    token: str | None,
    url: str | None,
    hardware: str | None,
    timeout_s: float,
) -> int:
    """Run one prediction on TARGET: a project, a gateway or a cloud endpoint.

    Text output streams to stdout if the target streams. Ctrl-C cancels the prediction on the target.
    """
    settings = {"token": token, "url": url, "hardware": hardware, "timeouts": Timeouts(total_s=timeout_s)}
    return asyncio.run(_run(target, flags, output, as_json, settings))


async def _run(
    target: str, flags: tuple[str, ...], output: Path | None, as_json: bool, settings: dict[str, Any]
) -> int:
    async with AsyncClient(target, **settings) as client:
        document = await client.schema()
        schema = None if document is None else PredictorSchema.of(document)
        inputs = _untyped(flags) if schema is None else inputs_from_flags(flags, schema)
        printer = Printer(OutputKind.JSON if schema is None else schema.output.kind, output)
        handle = await client.submit(inputs)
        try:
            async for chunk in handle:
                if not as_json:
                    printer.chunk(chunk)
            result = await handle.wait()
        finally:
            if not as_json:
                printer.end_line()
            await handle.abandon()
    if as_json:
        echo_foreign(json.dumps(_document(result), ensure_ascii=False, indent=2))
        return 0 if result.status is Status.SUCCEEDED else 1
    if result.logs:
        echo_foreign(result.logs, err=True, nl=not result.logs.endswith("\n"))
    if result.status is Status.FAILED:
        raise PredictionFailedError(result.error or "the prediction failed without a message")
    result.raise_for_status()
    printer.finish(Prediction(result.id, result.status, result.output))
    click.echo(_summary(result), err=True)
    return 0


def _untyped(flags: tuple[str, ...]) -> dict[str, Any]:
    """Return the inputs for a target without a schema: values that are valid JSON are parsed, others are texts."""
    inputs: dict[str, Any] = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not equals or not name:
            raise UsageError(f"-i {flag!r}: give it as name=value")
        if text.startswith("@"):
            inputs[name] = Path(text[1:])
            continue
        try:
            inputs[name] = json.loads(text)
        except ValueError:
            inputs[name] = text
    return inputs


def _document(result: Result) -> dict[str, Any]:
    times = result.timing
    return {
        "id": result.id,
        "target": result.target,
        "status": result.status,
        "output": result.output,
        "error": result.error,
        "logs": result.logs,
        "metrics": dict(result.metrics),
        "timing": {
            "total_s": times.total_s,
            "wait_s": times.wait_s,
            "queue_s": times.queue_s,
            "cold_start_s": times.cold_start_s,
            "predict_s": times.predict_s,
        },
        "cost_usd": result.cost_usd,
    }


def _summary(result: Result) -> str:
    """Return one line with the prediction's durations and cost."""
    times = result.timing
    parts = [
        f"{name} {value:.2f} s"
        for name, value in (
            ("queue", times.queue_s),
            ("cold start", times.cold_start_s),
            ("wait", times.wait_s if times.queue_s is None else None),
            ("prediction", times.predict_s),
        )
        if value is not None
    ]
    cost = "" if result.cost_usd is None else f", ${result.cost_usd:.6f}"
    return f"{times.total_s:.2f} s at {result.target} ({', '.join(parts)}){cost}"

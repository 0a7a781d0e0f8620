"""``pilotlight predict``: runs one prediction of a project, with those flags of ``cog predict`` that need no Docker."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.cli.common.options import (
    environment_option,
    inputs_option,
    output_option,
    project_option,
    python_option,
    setup_timeout_option,
)
from pilotlight.cli.common.output import Printer
from pilotlight.cli.common.project import load_project
from pilotlight.cli.common.values import inputs_from_flags, inputs_from_json
from pilotlight.config.variables import STAGED
from pilotlight.errors import PredictionCanceledError, PredictionFailedError, UsageError, WorkerTimeoutError
from pilotlight.runtime import Completed, Log, LogLine, Output, ServerOptions, Worker, schema_for
from pilotlight.runtime.predictor_schema import PredictorSchema
from pilotlight.runtime.schema.image_check import image_warning
from pilotlight.types import Prediction, Status
from pilotlight.util.terminal import escaped

# Value of `--json` without an argument: print JSON, take the inputs from -i.
_JSON_OUT = "\0"

_EXAMPLES = """\b
Examples:
  pilotlight predict -i prompt="def main(args):" -i max_tokens=64
  pilotlight predict --project path/to/project -i image=@photo.jpg -o result.png
  pilotlight predict -i prompt=hello --json
  echo '{"prompt": "hello"}' | pilotlight predict --json @-
"""


@click.command("predict", epilog=_EXAMPLES)
@inputs_option
@output_option
@click.option(
    "--json",
    "json_input",
    is_flag=False,
    flag_value=_JSON_OUT,
    metavar="[INPUTS]",
    help="Print the prediction as one JSON object. With INPUTS (a JSON object, @file or @- for stdin), also read "
    "all inputs from there.",
)
@project_option
@environment_option
@python_option
@setup_timeout_option
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), help="Seconds for the prediction.")
def command(
    flags: tuple[str, ...],
    output: Path | None,
    json_input: str | None,
    project_root: Path,
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    timeout_s: float | None,
) -> int:
    """Run one prediction of a Cog project, without Docker.

    Text output streams to stdout, logs of the predictor to stderr. File outputs are written to `output.<ext>`, or to
    -o.
    """
    if flags and json_input not in (None, _JSON_OUT):
        raise UsageError("give the inputs either with -i or with --json, not both")
    project = load_project(project_root)
    document = schema_for(project, python=python)
    warning = image_warning(project)
    if warning is not None:
        click.echo(f"Warning: {warning}", err=True)
    schema = PredictorSchema.of(document)
    if json_input is None or json_input == _JSON_OUT:
        inputs = inputs_from_flags(flags, schema)
    else:
        inputs = inputs_from_json(json_input, schema)
    printer = Printer(schema.output.kind, output)
    with _progress() as progress:
        # A single prediction has nothing to batch with.
        single = {} if STAGED.name in os.environ else {STAGED.name: "first"}
        lines = _ServerLines(progress)
        options = ServerOptions(python=python, env={**single, **env}, on_log=lines.show, private=True)
        worker = Worker(project, options)
        show = None if json_input is not None else printer
        prediction = asyncio.run(_predict(worker, inputs, setup_timeout_s, timeout_s, show, lines))
    if json_input is not None:
        printer.finish_json(prediction)
        return 0 if prediction.status is Status.SUCCEEDED else 1
    if prediction.status is Status.FAILED:
        raise PredictionFailedError(prediction.error or "the prediction failed without a message")
    if prediction.status is Status.CANCELED:
        raise PredictionCanceledError("the prediction was cancelled")
    printer.finish(prediction)
    return 0


async def _predict(
    worker: Worker,
    inputs: Mapping[str, Any],
    setup_timeout_s: float,
    timeout_s: float | None,
    printer: Printer | None,
    lines: _ServerLines,
) -> Prediction:
    """Start the worker, run one prediction, stream its output and logs to the terminal, and stop the worker."""
    progress = lines.progress
    progress("Setting up")
    async with worker:
        await worker.wait_ready(setup_timeout_s)
        lines.ready = True
        progress("Running")
        try:
            async with asyncio.timeout(timeout_s), aclosing(worker.stream(inputs)) as events:
                async for event in events:
                    if isinstance(event, Completed):
                        return event.prediction
                    if isinstance(event, Log | Output):
                        progress(None)
                    if isinstance(event, Log):
                        echo_foreign(event.text, err=True, nl=False)
                    if isinstance(event, Output) and printer is not None:
                        printer.chunk(event.chunk)
        except TimeoutError:
            raise WorkerTimeoutError(f"the prediction did not finish within {timeout_s:g} s") from None
        finally:
            if printer is not None:
                printer.end_line()
    raise AssertionError("this is a bug: a stream ended without Completed")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str | None], None]]:
    """Provide a function that shows the current step if stderr is a terminal; ``None`` hides it for good."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        over = False

        def show(text: str | None) -> None:
            nonlocal over
            over = over or text is None
            if over:
                status.stop()
            else:
                status.update(escape(text or "")[: max(20, console.width - 4)])

        yield show


class _ServerLines:
    """Shows what the server prints itself: a line of the setup as the current step, any later line on stderr.

    Later lines come from child processes and C code; what the predictor's Python prints is an event of its prediction.

    Args:
        progress: shows the current step.

    Attributes:
        ready: whether the setup has ended.
    """

    def __init__(self, progress: Callable[[str | None], None]) -> None:
        self.progress = progress
        self.ready = False

    def show(self, line: LogLine) -> None:
        """Show a line as it comes."""
        if not line.predictor:
            return
        if self.ready:
            self.progress(None)
            echo_foreign(line.text, err=True)
        else:
            self.progress(f"Setting up: {escaped(line.text, one_line=True)}")

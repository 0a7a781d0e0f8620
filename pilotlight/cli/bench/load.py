"""``pilotlight bench load``: measure a server under load, and check that the load was as intended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import click

from pilotlight.bench.harness.targets import BenchTarget, StartOptions, name_targets
from pilotlight.bench.load.arrivals import read_trace
from pilotlight.bench.load.measure import LoadPlan, measure
from pilotlight.bench.load.objectives import Objective, parse_objective
from pilotlight.bench.load.render import load_report
from pilotlight.bench.load.results import LoadResult, LoadSettings
from pilotlight.bench.load.send import Mode
from pilotlight.bench.load.server import parse_url, require_loopback
from pilotlight.bench.load.steps import (
    DEFAULT_MAX_IN_FLIGHT,
    LoadStep,
    closed_steps,
    constant_steps,
    poisson_steps,
    trace_step,
)
from pilotlight.cli.bench.load_progress import LoadProgress
from pilotlight.cli.bench.options import (
    OutFile,
    input_option,
    json_option,
    make_inputs,
    out_option,
    seed_option,
    shows,
    timeout_option,
)
from pilotlight.cli.common.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project
from pilotlight.errors import UsageError

__all__ = ["command"]

_Callback = Callable[[click.Context, click.Parameter, str | None], tuple[float, ...]]
_Random = Literal["poisson", "constant"]
_DEFAULT_CLIENTS = (1, 2, 4, 8)
_DEFAULT_DURATION_S = 10.0
_EXAMPLES = """\b
Examples:
  pilotlight bench load --clients 1,2,4,8 -i prompt="def main(args):"
  pilotlight bench load --rate 2,4,8 --mode stream --objective ttft:200ms --objective 2s
  pilotlight bench load --trace requests.csv --trace-scale 10 --duration 60
  pilotlight bench load --url http://127.0.0.1:5000 --clients 16 --requests 1000
"""


@dataclass(frozen=True, slots=True)
class _Load:
    """The options that define the load, which ``LoadSettings`` describes."""

    rates: tuple[float, ...]
    arrivals: _Random | None
    trace: Path | None
    scale: float | None
    clients: tuple[int, ...]
    duration_s: float | None
    requests: int | None
    max_in_flight: int
    seed: int


def _numbers(
    kind: type[float] | type[int],
) -> Callable[[click.Context, click.Parameter, str | None], tuple[float, ...]]:
    """Return a parser of lists such as ``1,2,4``."""

    def read(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[float, ...]:
        try:
            numbers = tuple(kind(text) for text in given.split(",")) if given is not None else ()
        except ValueError:
            numbers = (0,)
        if not all(0 < number < float("inf") for number in numbers):
            what = "whole numbers" if kind is int else "numbers"
            raise UsageError(f"{param.opts[0]} {given!r}: give {what} above 0, one for each step: 1,2,4")
        return numbers

    return read


def _objectives(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[Objective, ...]:
    return tuple(parse_objective(text) for text in given)


@click.command("load", epilog=_EXAMPLES)
@click.argument("project", required=False, type=click.Path(path_type=Path))
@click.option("--url", help="A running Cog server to measure instead of a PROJECT: http://HOST:PORT.")
@click.option(
    "--clients", callback=_numbers(int), metavar="N,...", help="Closed loop: numbers of clients, one step each."
)
@click.option(
    "--rate", "rates", callback=_numbers(float), metavar="R,...", help="Open loop: requests per second, one step each."
)
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), help="With --rate.  [default: poisson]")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Open loop: the arrivals in a CSV file with a column TIMESTAMP.",
)
@click.option(
    "--trace-scale",
    "scale",
    type=click.FloatRange(min=0, min_open=True),
    help="How many times faster than recorded to replay the trace.  [default: 1]",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    show_default="10, without --requests",
    help="Seconds of each step.",
)
@click.option("--requests", type=click.IntRange(min=1), help="Maximum number of requests in each step.")
@click.option(
    "--mode",
    type=click.Choice(["plain", "stream", "async"]),
    default="plain",
    show_default=True,
    help="One answer, server-sent events, or Prefer: respond-async with a webhook.",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    callback=_objectives,
    metavar="TIME",
    help="Objective for the goodput: 500ms of response time, or ttft:200ms to the first output. Repeatable.",
)
@click.option(
    "--queue/--no-queue",
    default=True,
    show_default=True,
    help="Whether requests that the server refuses as busy wait in a queue in front of it, or count as rejected.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_IN_FLIGHT,
    show_default=True,
    help="Maximum number of open requests of an open loop. Further ones are not sent, and there is no verdict.",
)
@click.option("--warmup", type=click.IntRange(min=1), default=3, show_default=True, help="Unmeasured predictions.")
@seed_option
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@out_option("load")
@json_option
def command(
    project: Path | None,
    url: str | None,
    clients: tuple[int, ...],
    rates: tuple[float, ...],
    arrivals: _Random | None,
    trace: Path | None,
    scale: float | None,
    duration_s: float | None,
    requests: int | None,
    mode: Mode,
    objectives: tuple[Objective, ...],
    queue: bool,
    max_in_flight: int,
    warmup: int,
    seed: int,
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Measure a Cog project, or a running Cog server, under load.

    Open loop (--rate, --trace): requests are sent at their times, whatever the server does. Closed loop (--clients, the
    default with 1, 2, 4 and 8): each client waits for its answer, so a slow server receives fewer requests. Response
    time counts from the intended time of a request, service time from when it was sent. Each step reports whether the
    load generator kept its schedule; if not, there is no verdict. The exit status is 1 when the server died.

    PROJECT is a folder with cog.yaml (default: this one), of which one worker is started and stopped again.
    """
    _check(project, url, mode, objectives)
    if duration_s is None and requests is None:
        duration_s = _DEFAULT_DURATION_S
    load = _Load(rates, arrivals, trace, scale, clients, duration_s, requests, max_in_flight, seed)
    steps = _steps(load)
    settings = LoadSettings(
        url=url,
        mode=mode,
        loop="closed" if steps[0].schedule is None else "open",
        arrivals="trace" if trace else (arrivals or "poisson") if rates else None,
        rates=tuple(step.rate for step in steps if step.rate is not None),
        clients=tuple(step.clients for step in steps if step.clients is not None),
        trace=trace.name if trace else None,
        trace_scale=(scale or 1.0) if trace else None,
        duration_s=duration_s,
        requests=requests,
        seed=seed,
        queue=queue,
        max_in_flight=max_in_flight,
        warmup=warmup,
        timeout_s=predict_timeout_s,
        objectives=tuple(objective.name for objective in objectives),
    )
    options = StartOptions(python, env, setup_timeout_s, predict_timeout_s)
    return _run(LoadPlan(url or _target(project), options, steps, settings, objectives), flags, out, as_json=as_json)


def _run(plan: LoadPlan, flags: tuple[str, ...], out: Path | None, *, as_json: bool) -> int:
    file: OutFile[LoadResult] = OutFile(out, "load")

    def run() -> LoadResult:
        inputs_for = partial(make_inputs, flags)
        with LoadProgress() as progress:
            return asyncio.run(
                measure(plan, inputs_for, save=file.save, announce=progress.announce, look=progress.look)
            )

    result = file.fill(run, shows(load_report, as_json=as_json), "steps")
    return 1 if any(step.message for step in result.steps) else 0


def _check(project: Path | None, url: str | None, mode: Mode, objectives: tuple[Objective, ...]) -> None:
    """Refuse options that contradict each other."""
    if url is not None and project is not None:
        raise UsageError(f"{project} and --url {url}: give one of them")
    if url is not None:
        endpoint = parse_url(url)
        if mode == "async":
            require_loopback(endpoint)
    if mode != "stream" and any(objective.first_output for objective in objectives):
        raise UsageError("--objective ttft: only a stream has a first output; give --mode stream as well")


def _steps(load: _Load) -> tuple[LoadStep, ...]:
    """Return the steps that the options ask for."""
    given = [("--clients", load.clients), ("--rate", load.rates), ("--trace", load.trace)]
    names = [name for name, value in given if value]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)}: give one of them")
    if load.arrivals is not None and not load.rates:
        raise UsageError(f"--arrivals {load.arrivals}: goes with --rate")
    if load.scale is not None and load.trace is None:
        raise UsageError(f"--trace-scale {load.scale:g}: goes with --trace")
    duration_s, requests, most = load.duration_s, load.requests, load.max_in_flight
    if load.trace is not None:
        times, scale = read_trace(load.trace), load.scale or 1.0
        return (trace_step(times, scale=scale, duration_s=duration_s, requests=requests, max_in_flight=most),)
    if load.rates and load.arrivals == "constant":
        return constant_steps(load.rates, duration_s=duration_s, requests=requests, max_in_flight=most)
    if load.rates:
        return poisson_steps(load.rates, duration_s=duration_s, requests=requests, seed=load.seed, max_in_flight=most)
    return closed_steps(load.clients or _DEFAULT_CLIENTS, duration_s=duration_s, requests=requests)


def _target(project: Path | None) -> BenchTarget:
    return name_targets([load_project(project or Path())])[0]

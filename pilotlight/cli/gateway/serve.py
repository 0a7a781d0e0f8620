"""``pilotlight gateway``: Replicate's HTTP API in front of Cog projects, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click
from starlette.applications import Starlette

from pilotlight.cli.common.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.common.sizes import SIZE
from pilotlight.cli.gateway.banner import introduce
from pilotlight.cli.gateway.home import home_option
from pilotlight.cli.gateway.options import Bounds, bounds_options
from pilotlight.errors import UsageError
from pilotlight.gateway import (
    LOOPBACK_NAMES,
    BackgroundServices,
    EgressClient,
    Files,
    Gateway,
    Inputs,
    Limits,
    LogBuffer,
    Registry,
    Store,
    Tokens,
    Version,
    create_app,
    has_changed,
    is_loopback,
    listen,
    load_version,
    run,
    serving,
    steady_clock,
    url_of,
)
from pilotlight.gateway.storage import home
from pilotlight.runtime import LogLine, ServerOptions, SupervisorOptions, Worker
from pilotlight.runtime.http.request import MAX_BODY_BYTES
from pilotlight.runtime.project import CONFIG_NAME

_EPILOG = """\b
Routes: Replicate's API under /v1; for the first project, or the only model, also
  GET  /health         200 while it can serve
  POST /predict        {"input": {...}}
  POST /predict/batch  {"inputs": [{...}, ...]}
for all of them GET /metrics, for Prometheus; and OpenAI's API under /openai/v1 for those that complete text.
A page at / shows how all of them stand, and examples; pilotlight top and pilotlight logs do in a terminal.

\b
Examples:
  pilotlight gateway
  pilotlight gateway path/to/project path/to/another --min-workers 1
  pilotlight push path/to/project acme/hello && pilotlight gateway
  pilotlight gateway --host 0.0.0.0 --token "$(openssl rand -hex 16)"
  REPLICATE_BASE_URL=http://127.0.0.1:8394 REPLICATE_API_TOKEN=any python my_replicate_script.py
"""


@dataclass(frozen=True, slots=True)
class _Options:
    """What the command line says about the server itself."""

    home: Path
    tokens: Tokens | None
    bounds: Bounds
    max_body_bytes: int
    grace_s: float
    fsync: bool
    limits: Limits
    setup_timeout_s: float
    server: ServerOptions


class _Worker(Worker):
    """Passes on what its predictor says and what its server warns of.

    And says so when it is about to run other files than those that its version's id stands for.
    """

    def __init__(self, version: Version, options: ServerOptions, journal: LogBuffer) -> None:
        def take(line: LogLine) -> None:
            if line.predictor or line.level != "INFO":
                click.echo(line.text, err=True)
                journal.add(line.text, model=version.model)

        super().__init__(version.project, replace(options, on_log=take))
        self._version = version

    async def start(self) -> None:
        if await asyncio.to_thread(has_changed, self._version):
            click.echo(
                f"{self.project.root} has changed since the gateway was started: this worker runs what is there now, "
                f"as {self._version.model}:{self._version.id[:12]}. Start the gateway again to serve a new version.",
                err=True,
            )
        await super().start()


@click.command("gateway", epilog=_EPILOG)
@click.argument("projects", nargs=-1, type=click.Path(path_type=Path), metavar="[PROJECT]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=8394,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@bounds_options
@home_option
@click.option("--min-workers", type=int, default=0, show_default=True, help="Workers kept ready for each project.")
@click.option("--max-workers", type=int, default=1, show_default=True, help="Workers at most for each project.")
@click.option(
    "--idle-timeout",
    "idle_timeout_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="Seconds without a prediction after which a worker above --min-workers is stopped.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Predictions that may wait for a slot of each project; further ones are answered with 429.",
)
@setup_timeout_option
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds for running predictions after SIGTERM or Ctrl-C; a second signal cuts it short.",
)
@click.option(
    "--max-body",
    "max_body_bytes",
    type=SIZE,
    default=MAX_BODY_BYTES,
    show_default="100MiB",
    help="The largest request.",
)
@click.option(
    "--fsync/--no-fsync",
    default=True,
    show_default=True,
    help="Whether an accepted prediction survives a loss of power, which costs the time that the disk takes; the "
    "death of the gateway it survives anyway.",
)
@environment_option
@python_option
def command(
    projects: tuple[Path, ...],
    host: str,
    port: int,
    bounds: Bounds,
    home_folder: Path,
    min_workers: int,
    max_workers: int,
    idle_timeout_s: float,
    max_waiting: int,
    setup_timeout_s: float,
    grace_s: float,
    max_body_bytes: int,
    fsync: bool,
    env: Mapping[str, str],
    python: Path,
) -> int:
    """Serve Cog projects with Replicate's HTTP API, without Docker.

    Each PROJECT, a folder with cog.yaml (the current one by default, if it is one), becomes the model local/FOLDER with
    one version, and a deployment of the same name. All models of `pilotlight push` are served too: what is pushed or
    rolled back meanwhile counts from the next prediction on. Workers are real Cog servers: started when a prediction
    comes, stopped when none has come for a while. What was accepted is kept: after a crash of the gateway, predictions
    that were waiting run, and those that were running are reported as failed.
    """
    listener = listen(host, port)
    with contextlib.closing(listener):
        tokens = Tokens(home_folder.expanduser(), given=bounds.token)
        guarded = bounds.token is not None or bool(tokens.all())
        if not guarded and not is_loopback(listener):
            raise UsageError(
                f"--host {host} can be reached from other machines: make a token (pilotlight token create), give a "
                "--token, or listen on 127.0.0.1"
            )
        options = _Options(
            home=home_folder.expanduser(),
            tokens=tokens if guarded else None,
            bounds=bounds,
            max_body_bytes=max_body_bytes,
            grace_s=grace_s,
            fsync=fsync,
            limits=Limits(
                min_workers=min_workers,
                max_workers=max_workers,
                idle_timeout_s=idle_timeout_s,
                max_waiting=max_waiting,
            ),
            setup_timeout_s=setup_timeout_s,
            server=ServerOptions(python=python, env={"COG_LOG_LEVEL": "warn", **env}),
        )
        roots = projects or ((Path(),) if Path(CONFIG_NAME).is_file() else ())
        versions = [load_version(root, created_at=time.time(), python=python) for root in roots]
        with home.held(options.home) as (database, folder):
            return run(_run(versions, listener, database, folder, options))


async def _run(
    versions: list[Version], listener: socket.socket, database: Path, folder: Path, options: _Options
) -> int:
    """Until a signal; 0 after SIGTERM, 130 after SIGINT."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with Store(database, to_disk=options.fsync) as store, EgressClient(options.bounds.reach) as egress:
        clock = steady_clock()
        files = Files(folder, store, clock)
        await files.open()
        gateway = Gateway(
            versions,
            store,
            options.limits,
            registry=Registry(options.home),
            factory=lambda version: _Worker(version, options.server, gateway.logs),
            supervision=SupervisorOptions(setup_timeout_s=options.setup_timeout_s),
            clock=clock,
            inputs=Inputs(files, egress, url_of(listener)),
        )
        async with (
            gateway,
            BackgroundServices(gateway, files, egress, options.bounds.keep) as services,
            serving(_app(gateway, files, services, options), listener),
        ):
            guarded = options.tokens is not None
            pushed = [version for version in gateway.versions if version.pushed]
            introduce(gateway.catalog.projects, pushed, options.home, url_of(listener), guarded=guarded)
            received = await signals.get()
            click.echo("Stopping.", err=True)
            again = asyncio.create_task(signals.get())
            draining = asyncio.create_task(gateway.drain(options.grace_s))
            await asyncio.wait([again, draining], return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            draining.cancel()
            # Before the server, so that everyone who waits for a prediction is answered.
            await gateway.close()
    return 130 if received is signal.SIGINT else 0


def _app(gateway: Gateway, files: Files, services: BackgroundServices, options: _Options) -> Starlette:
    return create_app(
        gateway,
        files,
        services,
        tokens=options.tokens,
        hosts=LOOPBACK_NAMES if options.tokens is None else None,
        max_body_bytes=options.max_body_bytes,
        rate=options.bounds.rate,
    )

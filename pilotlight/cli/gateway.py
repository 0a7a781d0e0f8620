"""``pilotlight gateway``: Replicate's HTTP API in front of Cog projects, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pilotlight.cli.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.sizes import SIZE
from pilotlight.errors import UsageError
from pilotlight.gateway import (
    LOOPBACK_NAMES,
    Files,
    Gateway,
    Limits,
    Store,
    Version,
    create_app,
    has_changed,
    home,
    is_loopback,
    listen,
    load_version,
    serving,
    url_of,
)
from pilotlight.runtime import LogLine, ServerOptions, SupervisorOptions, Worker
from pilotlight.runtime.request import MAX_BODY_BYTES

_EPILOG = """\b
Routes: Replicate's API under /v1; for the first project also
  GET  /health         200 while it can serve
  POST /predict        {"input": {...}}
  POST /predict/batch  {"inputs": [{...}, ...]}
and for all of them GET /metrics, for Prometheus.

\b
Examples:
  pilotlight gateway
  pilotlight gateway path/to/project path/to/another --min-workers 1
  pilotlight gateway --host 0.0.0.0 --token "$(openssl rand -hex 16)"
  REPLICATE_BASE_URL=http://127.0.0.1:8394 REPLICATE_API_TOKEN=any python my_replicate_script.py
"""


@dataclass(frozen=True, slots=True)
class _Options:
    """What the command line says about the server itself."""

    home: Path
    token: str | None
    max_body_bytes: int
    grace_s: float
    fsync: bool
    limits: Limits
    setup_timeout_s: float
    server: ServerOptions


class _Worker(Worker):
    """Says so when it is about to run other files than those that its version's id stands for."""

    def __init__(self, version: Version, options: ServerOptions) -> None:
        super().__init__(version.project, options)
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
@click.option(
    "--token",
    envvar="PILOTLIGHT_TOKEN",
    show_envvar=True,
    help="What callers must send as Authorization: Bearer TOKEN. Required for a --host that others can reach.",
)
@click.option(
    "--home",
    "home_folder",
    type=click.Path(path_type=Path),
    envvar=home.VARIABLE,
    show_envvar=True,
    default=Path("~/.pilotlight"),
    show_default=True,
    help="Where predictions are kept.",
)
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
    token: str | None,
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

    Each PROJECT, a folder with cog.yaml (the current one by default), becomes the model local/FOLDER with one version,
    and a deployment of the same name. Workers are real Cog servers: started when a prediction comes, stopped when none
    has come for a while. What was accepted is kept: after a crash of the gateway, predictions that were waiting run,
    and those that were running are reported as failed.
    """
    listener = listen(host, port)
    with contextlib.closing(listener):
        if not token and not is_loopback(listener):
            raise UsageError(
                f"--host {host} can be reached from other machines: give a --token, or listen on 127.0.0.1"
            )
        options = _Options(
            home=home_folder.expanduser(),
            token=token or None,
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
            server=ServerOptions(python=python, env={"COG_LOG_LEVEL": "warn", **env}, on_log=_echo),
        )
        versions = [load_version(root, created_at=time.time(), python=python) for root in projects or (Path(),)]
        with home.held(options.home) as (database, folder):
            return asyncio.run(_run(versions, listener, database, folder, options))


async def _run(
    versions: list[Version], listener: socket.socket, database: Path, folder: Path, options: _Options
) -> int:
    """Until a signal; 0 after SIGTERM, 130 after SIGINT."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with Store(database, to_disk=options.fsync) as store:
        gateway = Gateway(
            versions,
            store,
            options.limits,
            factory=lambda version: _Worker(version, options.server),
            supervision=SupervisorOptions(setup_timeout_s=options.setup_timeout_s),
        )
        hosts = None if options.token else LOOPBACK_NAMES
        files = Files(folder, store, gateway.clock)
        await files.open()
        app = create_app(gateway, files, token=options.token, hosts=hosts, max_body_bytes=options.max_body_bytes)
        async with gateway, serving(app, listener):
            _introduce(gateway.versions, url_of(listener), options.token)
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


def _introduce(versions: tuple[Version, ...], url: str, token: str | None) -> None:
    for version in versions:
        click.echo(f"Serving {version.project.root} as {version.model}:{version.id[:12]}", err=True)
    example = json.dumps({"input": _example(versions[0].document)})
    bearer = " -H 'Authorization: Bearer TOKEN'" if token else ""
    click.echo(f"Listening at {url}", err=True)
    click.echo(f"Try: curl -s {url}/predict{bearer} -H 'Content-Type: application/json' -d '{example}'", err=True)


def _example(document: Mapping[str, Any]) -> dict[str, Any]:
    """An input with something of the right kind for all that is required."""
    schema = document.get("components", {}).get("schemas", {}).get("Input", {})
    placeholders = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
    properties = schema.get("properties", {})
    return {name: placeholders.get(properties[name].get("type", ""), "...") for name in schema.get("required", ())}


def _echo(line: LogLine) -> None:
    """What predictors say, and the warnings of their servers."""
    if line.predictor or line.level != "INFO":
        click.echo(line.text, err=True)

"""``pilotlight gateway``: serves Cog projects with Replicate's HTTP API, in the foreground."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.cli.gateway.banner import introduce
from pilotlight.cli.gateway.options import settings_options
from pilotlight.config.serving import GatewaySettings
from pilotlight.gateway import open_gateway, run
from pilotlight.runtime.project import CONFIG_NAME, nearest_project

_EPILOG = """\b
Routes: Replicate's API under /v1; for the first project, or the only model, also
  GET  /health         200 while it can serve
  POST /predict        {"input": {...}}
  POST /predict/batch  {"inputs": [{...}, ...]}
for all models GET /metrics, for Prometheus; and OpenAI's API under /openai/v1 for those that complete text.
A page at / shows their state, and examples; pilotlight top and pilotlight logs do so in a terminal.

\b
Examples:
  pilotlight gateway
  pilotlight gateway path/to/project path/to/another --min-workers 1
  pilotlight push path/to/project acme/hello && pilotlight gateway
  pilotlight gateway --host 0.0.0.0 --token "$(openssl rand -hex 16)"
  REPLICATE_BASE_URL=http://127.0.0.1:8394 REPLICATE_API_TOKEN=any python my_replicate_script.py
"""


@click.command("gateway", epilog=_EPILOG)
@click.argument("projects", nargs=-1, type=click.Path(path_type=Path), metavar="[PROJECT]...")
@settings_options
def command(settings: GatewaySettings) -> int:
    """Serve Cog projects with Replicate's HTTP API, without Docker.

    Each PROJECT, a folder with cog.yaml (default: the current folder, if it has one), becomes the model local/FOLDER
    with one version, and a deployment of the same name. All models of `pilotlight push` are served too: pushes and
    rollbacks apply from the next prediction on. Workers are real Cog servers: started when a prediction arrives,
    stopped when idle for a while. Accepted predictions are stored: after a crash of the gateway, those that were
    waiting run, and those that were running are reported as failed.
    """
    folder = nearest_project(Path())
    if not settings.projects and (folder / CONFIG_NAME).is_file():
        settings = replace(settings, projects=(folder,))
    return run(_run(settings))


async def _run(settings: GatewaySettings) -> int:
    """Serve until a signal; return 0 after SIGTERM, 130 after SIGINT."""
    signals = _Signals()
    serving = asyncio.create_task(_serve(settings, signals))
    signals.on_first = serving.cancel  # cancelling closes what it has opened
    try:
        await serving
    except asyncio.CancelledError:
        if signals.first is None:
            raise
        click.echo("Stopping.", err=True)
    return 130 if signals.first is signal.SIGINT else 0


async def _serve(settings: GatewaySettings, signals: _Signals) -> None:
    async with open_gateway(settings, on_line=lambda text: echo_foreign(text, err=True)) as opened:
        signals.on_first = None
        introduce(opened)
        await signals.next()
        click.echo("Stopping.", err=True)
        again = asyncio.create_task(signals.next())
        draining = asyncio.create_task(opened.gateway.drain(settings.worker.grace_s))
        await asyncio.wait([again, draining], return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        draining.cancel()


class _Signals:
    """Receives SIGINT and SIGTERM of this process, in order, from its construction on."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.on_first: Callable[[], object] | None = None
        self._received: asyncio.Queue[signal.Signals] = asyncio.Queue()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._take, number)

    async def next(self) -> signal.Signals:
        """Wait for the next signal and return it."""
        return await self._received.get()

    def _take(self, number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            if self.on_first is not None:
                self.on_first()
        self._received.put_nowait(number)

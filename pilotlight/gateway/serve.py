"""A whole gateway from one object: everything it is made of, opened in order, and the process that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from starlette.applications import Starlette

from pilotlight.config.serving import GatewaySettings
from pilotlight.errors import UsageError
from pilotlight.gateway.api.context import BackgroundServices
from pilotlight.gateway.api.proxies import TrustedProxies, check_public_url
from pilotlight.gateway.api.rate_limit import Rate
from pilotlight.gateway.api.security import LOOPBACK_NAMES
from pilotlight.gateway.api.tokens import Tokens
from pilotlight.gateway.app import create_app
from pilotlight.gateway.clock import Clock, steady_clock
from pilotlight.gateway.egress.addresses import EgressPolicy
from pilotlight.gateway.egress.client import EgressClient
from pilotlight.gateway.egress.inputs import Inputs
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.versions import Version, has_changed, load_version
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.storage import home
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.retention import RetentionPolicy
from pilotlight.gateway.storage.store import Store
from pilotlight.runtime import KeeperOptions, LogLine, ServerOptions, Worker, WorkerLike
from pilotlight.runtime.http.listening import is_loopback, listen, serving, url_of

T = TypeVar("T")

# Hardly anything here is part of a cycle. Looking for cycles after every 700 objects, as Python does, takes a seventh
# of the processor time of a prediction; after so many it takes none that can be measured.
_GARBAGE_AFTER = (20_000, 20, 20)


@dataclass(frozen=True, slots=True)
class OpenGateway:
    """A gateway that answers.

    Attributes:
        url: where it listens.
        home: the folder of its database, uploads and tokens.
        gateway: the predictions and their workers.
        files: the uploads.
        services: webhooks, deadlines and retention.
        tokens: the tokens of callers.
        guarded: whether callers need a token.
        app: the ASGI application that is served.
    """

    url: str
    home: Path
    gateway: Gateway
    files: Files
    services: BackgroundServices
    tokens: Tokens
    guarded: bool
    app: Starlette


@contextlib.asynccontextmanager
async def open_gateway(
    settings: GatewaySettings,
    *,
    versions: Sequence[Version] | None = None,
    factory: Callable[[Version], WorkerLike] | None = None,
    on_line: Callable[[str], None] | None = None,
    keeper_options: KeeperOptions | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[OpenGateway]:
    """Open the gateway that ``settings`` describe: it answers while in this context.

    Args:
        settings: all that a user can choose.
        versions: what to serve in place of ``settings.projects``.
        factory: makes a worker for a version; a real Cog server by default.
        on_line: called with what predictors print and what servers warn of.
        keeper_options: how each worker is kept running; by default as ``settings`` say.
        clock: seconds since 1970; by default the system's, made steady.

    Raises:
        UsageError: the settings contradict each other; the address cannot be used, or others could reach it and no
            token is asked for; another gateway runs in this home.
        ConfigError, SetupFailedError, WorkerTimeoutError: a project cannot be loaded.
        StoreError: the database cannot be used.
    """
    parts = _Parts.of(settings)
    root = settings.home.expanduser()
    clock = clock or steady_clock()
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        tokens = Tokens(root, given=settings.token)
        guarded = settings.token is not None or bool(tokens.all())
        _require_guard(settings.host, listener, guarded=guarded)
        if versions is None:
            versions = await _load(settings)
        with home.lock(root) as (database, folder):
            async with Store(database, to_disk=settings.fsync) as store, EgressClient(parts.egress) as egress:
                files = Files(folder, store, clock, quota_bytes=settings.upload_quota_bytes)
                await files.open()
                gateway = Gateway(
                    versions,
                    store,
                    parts.limits,
                    registry=Registry(root) if settings.registry else None,
                    factory=factory or (lambda version: _ProjectWorker(version, settings, gateway.logs, on_line)),
                    keeper_options=keeper_options or KeeperOptions(setup_timeout_s=settings.worker.setup_timeout_s),
                    clock=clock,
                    inputs=Inputs(files, egress, url_of(listener)),
                    strict_inputs=settings.strict_inputs,
                )
                async with gateway, BackgroundServices(gateway, files, egress, parts.retention) as services:
                    app = create_app(
                        gateway,
                        files,
                        services,
                        tokens=tokens if guarded else None,
                        hosts=None if guarded else LOOPBACK_NAMES,
                        max_body_bytes=settings.max_body_bytes,
                        rate=parts.rate,
                        proxies=parts.proxies,
                        public_url=None if settings.public_url is None else check_public_url(settings.public_url),
                    )
                    async with serving(app, listener):
                        try:
                            yield OpenGateway(
                                url_of(listener), root, gateway, files, services, tokens, guarded=guarded, app=app
                            )
                        finally:
                            # Before the server ends, so that everyone who waits for a prediction is answered.
                            await gateway.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` as ``asyncio.run`` does, on a faster loop and collecting garbage less often, for this process."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The settings as the parts of a gateway take them, checked."""

    limits: Limits
    rate: Rate | None
    egress: EgressPolicy
    proxies: TrustedProxies
    retention: RetentionPolicy

    @classmethod
    def of(cls, settings: GatewaySettings) -> _Parts:
        return cls(
            limits=Limits(
                min_workers=settings.min_workers,
                max_workers=settings.max_workers,
                idle_timeout_s=settings.idle_timeout_s,
                max_waiting=settings.max_waiting,
                predict_timeout_s=settings.predict_timeout_s,
            ),
            rate=None if settings.rate_limit is None else Rate.parse(settings.rate_limit),
            egress=EgressPolicy.of(settings.allow_networks, everything=settings.allow_private_urls),
            proxies=TrustedProxies.of(settings.trusted_proxies, settings.public_url),
            retention=RetentionPolicy(settings.keep_s, settings.keep_bytes),
        )


class _ProjectWorker(Worker):
    """A worker whose log lines go to the gateway's log and to ``on_line``.

    It also says so when the files of its project are no longer those that its version's id stands for.
    """

    def __init__(
        self, version: Version, settings: GatewaySettings, log: LogBuffer, on_line: Callable[[str], None] | None
    ) -> None:
        def take(line: LogLine) -> None:
            if line.predictor or line.level != "INFO":
                self._tell(line.text)
                log.add(line.text, model=version.model)

        environment = {"COG_LOG_LEVEL": "warn", **settings.worker.env}
        python = settings.worker.python
        super().__init__(version.project, ServerOptions(python=python, env=environment, on_log=take, private=True))
        self._version = version
        self._on_line = on_line

    async def start(self) -> None:
        if await asyncio.to_thread(has_changed, self._version):
            self._tell(
                f"{self.project.root} has changed since the gateway was started: this worker runs what is there now, "
                f"as {self._version.model}:{self._version.id[:12]}. Start the gateway again to serve a new version."
            )
        await super().start()

    def _tell(self, text: str) -> None:
        if self._on_line is not None:
            self._on_line(text)


async def _load(settings: GatewaySettings) -> list[Version]:
    """Load the projects, on a thread that does not keep the process alive: an import may take minutes to end."""
    loaded: Future[list[Version]] = Future()

    def work() -> None:
        python = settings.worker.python
        try:
            loaded.set_result([load_version(root, created_at=time.time(), python=python) for root in settings.projects])
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            loaded.set_exception(error)

    loaded.set_running_or_notify_cancel()
    threading.Thread(target=work, name="load-projects", daemon=True).start()
    return await asyncio.wrap_future(loaded)


def _require_guard(host: str, listener: socket.socket, *, guarded: bool) -> None:
    """Raise ``UsageError`` where other machines can reach the gateway and no token is asked for."""
    if not guarded and not is_loopback(listener):
        raise UsageError(
            f"--host {host} can be reached from other machines: make a token (pilotlight token create), give a "
            "--token, or listen on 127.0.0.1"
        )

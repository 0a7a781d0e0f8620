"""The server under load: a worker started for a project, or a running server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from pilotlight.bench.harness.failures import words_of
from pilotlight.bench.harness.targets import BenchTarget, InputMaker, StartOptions, inputs_of
from pilotlight.errors import UsageError, WorkerCrashedError, WorkerError
from pilotlight.runtime import Health, ServerOptions, Worker
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.runtime.http.transport import Endpoint
from pilotlight.runtime.predictor_schema import PredictorSchema

__all__ = ["Served", "parse_url", "require_loopback", "serving"]

_STOP_GRACE_S = 0.5
_ASK_S = 15.0
_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready.

    Attributes:
        url: its URL without a trailing slash.
        inputs: the inputs of its predictions.
        endpoint: its address for the generator.
        worker: the started worker; ``None`` for a server that was running before.
    """

    url: str
    inputs: dict[str, Any]
    endpoint: Endpoint
    worker: Worker | None

    async def lost(self) -> str | None:
        """Return why the server was lost, with the logs of a started worker; ``None`` while it lives, even if busy."""
        try:
            health = await (_health(self.url) if self.worker is None else self.worker.health())
        except WorkerCrashedError as error:
            return words_of(error)
        except WorkerError:
            return None  # a predictor can block the server for longer than the timeout of the check
        if not health.lost:
            return None
        logs = "" if self.worker is None else self.worker.logs
        return words_of(WorkerCrashedError(f"the Python process of the Cog server died: {health.error}", logs=logs))


def parse_url(url: str) -> Endpoint:
    """Return the endpoint of ``url``.

    Raises:
        UsageError: the URL is invalid, or needs TLS.
    """
    try:
        return Endpoint.of(url)
    except UsageError as error:
        raise UsageError(f"--url {error}") from None


def require_loopback(endpoint: Endpoint) -> None:
    """Refuse a server that could not call the bench's webhook.

    Raises:
        UsageError: the server is on another machine.
    """
    if not endpoint.host.startswith(_LOOPBACK):
        raise UsageError(
            f"--mode async: {endpoint.host} cannot reach the bench's webhook, which listens on 127.0.0.1; "
            "run this on the machine of the server, or choose another mode"
        )


@asynccontextmanager
async def serving(where: BenchTarget | str, inputs_for: InputMaker, options: StartOptions) -> AsyncIterator[Served]:
    """Yield a server that is ready; in the end, stop a worker that was started here.

    Args:
        where: a project to start a worker of, or the URL of a server.
        inputs_for: a function from its OpenAPI document to the input of its predictions.
        options: the options of the worker.

    Raises:
        UsageError: the project cannot be served, the URL is invalid, or an input is wrong.
        WorkerError: the server did not become ready, or does not answer.
    """
    if isinstance(where, str):
        endpoint = parse_url(where)
        await _require_ready(where.rstrip("/"))
        yield Served(where.rstrip("/"), inputs_for(await _document(where.rstrip("/"))), endpoint, None)
        return
    given = options.of(where)
    inputs = await inputs_of(where, inputs_for, given)
    worker = Worker(where.project, ServerOptions(python=given.python, env=given.env))
    try:
        await worker.start()
        await worker.wait_ready(given.setup_timeout_s)
        yield Served(worker.url, inputs, parse_url(worker.url), worker)
    finally:
        await worker.stop(_STOP_GRACE_S)


async def _require_ready(url: str) -> None:
    health = await _health(url)
    if not health.ready:
        raise WorkerError(f"the Cog server at {url} is {health.status}; wait until it is READY")


async def _health(url: str) -> Health:
    api = CogApi(url)
    try:
        return await api.health()
    finally:
        await api.close()


async def _document(url: str) -> dict[str, Any]:
    """Return the OpenAPI document of a server."""
    # No proxy and no certificates, which take 0.1 s to read: TLS is not used.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with httpx2.AsyncClient(trust_env=False, verify=context, timeout=_ASK_S) as client:
            response = await client.get(f"{url}/openapi.json")
            document = response.json() if response.status_code == httpx2.codes.OK else {}
    except (httpx2.HTTPError, ValueError) as error:
        raise WorkerError(f"{url}/openapi.json cannot be read: {error or type(error).__name__}") from error
    if not PredictorSchema.of(document).describes_inputs:
        raise WorkerError(
            f"{url}/openapi.json does not list the inputs (HTTP {response.status_code}): "
            "the server was started without the project's .cog/openapi_schema.json"
        )
    return {**document}

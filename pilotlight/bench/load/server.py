"""The server under load: a worker that is started for a project, or a running server."""

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
        url: without a slash at its end.
        inputs: of its predictions.
        endpoint: the same place for the generator.
        worker: ``None`` for a server that was there already.
    """

    url: str
    inputs: dict[str, Any]
    endpoint: Endpoint
    worker: Worker | None

    async def lost(self) -> str | None:
        """What killed it, with what was printed where it is ours; ``None`` while it lives, however busy."""
        try:
            health = await (_health(self.url) if self.worker is None else self.worker.health())
        except WorkerCrashedError as error:
            return words_of(error)
        except WorkerError:
            return None  # a predictor can block the server for longer than anybody waits for an answer
        if not health.lost:
            return None
        logs = "" if self.worker is None else self.worker.logs
        return words_of(WorkerCrashedError(f"the Python process of the Cog server died: {health.error}", logs=logs))


def parse_url(url: str) -> Endpoint:
    """Where ``url`` leads.

    Raises:
        UsageError: it is no URL of a server that can be reached without TLS.
    """
    try:
        return Endpoint.of(url)
    except UsageError as error:
        raise UsageError(f"--url {error}") from None


def require_loopback(endpoint: Endpoint) -> None:
    """Refuses a server that could not call our webhook.

    Raises:
        UsageError: it is on another machine.
    """
    if not endpoint.host.startswith(_LOOPBACK):
        raise UsageError(
            f"--mode async: {endpoint.host} cannot reach our webhook, which listens on 127.0.0.1; "
            "run this on the machine of the server, or choose another mode"
        )


@asynccontextmanager
async def serving(where: BenchTarget | str, inputs_for: InputMaker, options: StartOptions) -> AsyncIterator[Served]:
    """A server that is ready; a worker of ours is stopped in the end, whatever happens.

    Args:
        where: a project to start a worker of, or the URL of a server.
        inputs_for: from its OpenAPI document to the input of its predictions.
        options: of the worker.

    Raises:
        UsageError: the project cannot be served as it stands, the URL is none, or an input is wrong.
        WorkerError: it did not become ready, or does not answer.
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
    """The OpenAPI document of a server."""
    # No proxy, and no certificates, which take 0.1 s to read: there is no TLS.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with httpx2.AsyncClient(trust_env=False, verify=context, timeout=_ASK_S) as client:
            response = await client.get(f"{url}/openapi.json")
            document = response.json() if response.status_code == httpx2.codes.OK else {}
    except (httpx2.HTTPError, ValueError) as error:
        raise WorkerError(f"{url}/openapi.json cannot be read: {error or type(error).__name__}") from error
    if not PredictorSchema.of(document).describes_inputs:
        raise WorkerError(
            f"{url}/openapi.json does not say what inputs there are (HTTP {response.status_code}): "
            "the server was started without the project's .cog/openapi_schema.json"
        )
    return {**document}

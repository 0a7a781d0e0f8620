"""One real Cog server for one project, without Docker, and the predictions that run on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from pilotlight.errors import UsageError, WorkerCrashedError, WorkerError
from pilotlight.runtime.events import Event, Feed, discard, stream_events
from pilotlight.runtime.health import Health
from pilotlight.runtime.http.request import (
    check_prediction_id,
    encode_body,
    new_prediction_id,
)
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.schema_file import ensure_schema
from pilotlight.runtime.server.cog_server import CogServer, ServerOptions
from pilotlight.types import Prediction, Status

# What coglet says of a running prediction when its Python process has gone, and of the first one after that.
_LOST_PREDICTION = ("Worker crashed", "Failed to send request: ")


class WorkerLike(Protocol):
    """What a ``Keeper`` needs of a worker: ``Worker``, or ``FakeWorker`` in tests."""

    @property
    def slots(self) -> int: ...
    async def start(self) -> None: ...
    async def wait_ready(self, timeout_s: float) -> Health: ...
    async def health(self) -> Health: ...
    async def run(
        self,
        inputs: Mapping[str, Any],
        feed: Feed,
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Prediction: ...
    async def cancel(self, prediction_id: str) -> bool: ...
    async def stop(self, grace_s: float = 5.0) -> None: ...


class Worker:
    """A Cog server process group for ``project``: ``start``, ``wait_ready``, any number of predictions, ``stop``."""

    def __init__(self, project: Project, options: ServerOptions | None = None) -> None:
        self.project = project
        self._options = options or ServerOptions()
        self._server: CogServer | None = None
        self._schema: dict[str, Any] = {}
        self._running: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(grace_s=5.0 if kind is None else 0.5)

    @property
    def slots(self) -> int:
        """How many predictions it runs at once."""
        return self.project.max_concurrency

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        return self._started.url

    @property
    def pid(self) -> int:
        """The id of the server process and of its group."""
        return self._started.pid

    @property
    def spawned_at_s(self) -> float:
        """The monotonic clock just before the server process was started: where a cold start begins."""
        return self._started.spawned_at_s

    @property
    def schema(self) -> Mapping[str, Any]:
        """The project's OpenAPI document; empty before ``start``."""
        return self._schema

    @property
    def logs(self) -> str:
        """What the predictor has printed, as far back as is kept."""
        return "" if self._server is None else self._server.logs

    async def start(self) -> None:
        """Write the schema if it is stale and start the server, which then runs ``setup()``: see ``wait_ready``.

        Raises:
            UsageError: the project cannot be served as it stands.
            SetupFailedError: the predictor cannot be imported; carries what was printed.
            WorkerCrashedError: the server could not be started.
        """
        assert self._server is None, "this is a bug: a Worker starts once"
        server = CogServer(self.project, self._options)
        self._schema = await asyncio.to_thread(self._load_schema)
        await server.start()
        self._server = server

    async def wait_ready(self, timeout_s: float) -> Health:
        """Wait for ``setup()`` to finish; raise as ``CogServer.wait_ready`` does."""
        return await self._started.wait_ready(timeout_s)

    async def health(self) -> Health:
        """Ask the server for its health; a predictor that blocks the interpreter can delay the answer by 10 s.

        Raises:
            WorkerCrashedError: it is gone.
            WorkerTimeoutError: it does not answer.
        """
        return await self._started.health()

    async def run(
        self,
        inputs: Mapping[str, Any],
        feed: Feed,
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> Prediction:
        """Run one prediction: call ``feed`` with its events as they come, and return its end, failed ones included.

        Cancelling this drops the connection, which cancels the prediction.

        Args:
            inputs: by name; ``None`` means not given.
            feed: takes the events.
            prediction_id: 1 to 128 letters, digits, ``-`` and ``_``; made up when not given.
            context: what the predictor reads as ``current_scope().context``.
            busy_timeout_s: how long to ask again when every slot is taken.

        Raises:
            InputError: an input cannot be sent or is refused by the server, which ignores those it does not know.
            WorkerBusyError: every slot stayed taken.
            WorkerCrashedError: the server or its Python process died during the prediction.
            WorkerError: it is draining, not ready, or misbehaves.
        """
        if self._draining:
            raise WorkerError("the worker is stopping and takes no more predictions")
        prediction_id = check_prediction_id(prediction_id or new_prediction_id())
        if prediction_id in self._running:
            raise UsageError(f"prediction {prediction_id} is already running; give each its own id")
        body = encode_body(inputs, context)
        server = self._started
        self._running.add(prediction_id)
        self._idle.clear()
        try:
            prediction = await server.api.run(prediction_id, body, feed, busy_timeout_s=busy_timeout_s)
            await self._raise_if_lost(prediction)
        except WorkerCrashedError as error:
            if error.logs:
                raise
            raise server.crashed(str(error)) from error
        finally:
            self._running.discard(prediction_id)
            if not self._running:
                self._idle.set()
        return prediction

    def stream(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> AsyncGenerator[Event, None]:
        """As ``run``, as an iterator of the events whose last is ``Completed``.

        Leaving early cancels the prediction: close the iterator (``contextlib.aclosing``) rather than wait for the
        garbage collector.
        """
        return stream_events(
            lambda feed: self.run(
                inputs, feed, prediction_id=prediction_id, context=context, busy_timeout_s=busy_timeout_s
            )
        )

    async def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> Prediction:
        """As ``run``, for the end only: a failed prediction is returned, and ``raise_for_status`` raises for it."""
        return await self.run(
            inputs, discard, prediction_id=prediction_id, context=context, busy_timeout_s=busy_timeout_s
        )

    async def cancel(self, prediction_id: str) -> bool:
        """Ask for the end of a prediction; ``False`` when it is not running (any more).

        It then ends with status ``canceled``, as soon as the predictor reacts. A predictor that is blocked in C goes on
        until the call returns.
        """
        return await self._started.api.cancel(check_prediction_id(prediction_id))

    async def drain(self, deadline_s: float) -> bool:
        """Take no more predictions, and return whether the running ones have ended within ``deadline_s``."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        return not self._running

    async def stop(self, grace_s: float = 5.0) -> None:
        """Let running predictions end for up to ``grace_s``, then kill the process group. Safe to call twice."""
        self._draining = True
        if self._server is not None:
            await self._server.stop(grace_s)

    async def _raise_if_lost(self, prediction: Prediction) -> None:
        """Tell a crash from an exception of the predictor with the same message: after a crash the health is lost."""
        if prediction.status is not Status.FAILED or not (prediction.error or "").startswith(_LOST_PREDICTION):
            return
        if (await self._started.health()).lost:
            raise self._started.crashed(f"the Python process of the Cog server died during prediction {prediction.id}")

    def _load_schema(self) -> dict[str, Any]:
        path = ensure_schema(self.project, python=self._options.python)
        schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return schema

    @property
    def _started(self) -> CogServer:
        if self._server is None:
            raise WorkerError("the worker has not been started")
        return self._server

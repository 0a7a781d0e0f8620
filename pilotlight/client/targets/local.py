"""Targets without a platform: a running Cog server, or a project that is started on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import httpx2

from pilotlight.client.connection import Timeouts
from pilotlight.client.errors import mapped_errors
from pilotlight.client.http import is_local
from pilotlight.client.targets.names import Target
from pilotlight.errors import (
    PilotlightError,
    SetupFailedError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
    UsageError,
    WorkerBusyError,
    WorkerError,
    WorkerMemoryError,
)
from pilotlight.runtime import (
    Completed,
    Event,
    Feed,
    LocalQueue,
    Log,
    Output,
    Project,
    ServerOptions,
    Started,
    Worker,
    new_prediction_id,
)
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.runtime.http.request import encode_body
from pilotlight.runtime.ready_worker import CANCEL_AGAIN_S
from pilotlight.runtime.schema.schema_file import ensure_schema
from pilotlight.types import Prediction, Status


class Runner(Protocol):
    """Runs a prediction, puts its events into ``feed`` and returns it; cancelling the call cancels the prediction."""

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction: ...


class LocalJob:
    """A prediction that ends when its connection is closed."""

    def __init__(self, runner: Runner, inputs: Mapping[str, Any]) -> None:
        self._runner = runner
        self._inputs = inputs
        self._status = Status.STARTING
        self._canceled = False
        self._reader: asyncio.Task[None] | None = None
        self.id = new_prediction_id()

    async def status(self) -> Status:
        return self._status

    async def cancel(self) -> None:
        self._canceled = True
        if self._reader is not None:
            self._reader.cancel()

    async def events(self) -> AsyncGenerator[Event, None]:
        read: asyncio.Queue[Event | None] = asyncio.Queue()
        seen: list[Any] = []
        printed: list[str] = []
        asked_at = time.monotonic()
        began_at: float | None = None
        self._reader = asyncio.create_task(self._read(read))
        # Not in the task itself: a task that is cancelled before its first step runs none of its code.
        self._reader.add_done_callback(lambda _: read.put_nowait(None))
        try:
            while (event := await read.get()) is not None:
                if isinstance(event, Started):
                    began_at = time.monotonic()
                    self._status = Status.PROCESSING
                if isinstance(event, Output):
                    seen.append(event.chunk)
                if isinstance(event, Log):
                    printed.append(event.text)
                if isinstance(event, Completed):
                    self._status = event.prediction.status
                    if began_at is not None:
                        event = Completed(
                            _with(event.prediction, wait_s=began_at - asked_at, predict_s=time.monotonic() - began_at)
                        )
                yield event
            if self._canceled and not self._status.terminal:
                self._status = Status.CANCELED
                yield Completed(Prediction(self.id, Status.CANCELED, output=seen or None, logs="".join(printed)))
            elif not self._status.terminal:
                await self._reader  # raises its error
        except WorkerError as error:
            raise _mapped(error) from error
        finally:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _read(self, read: asyncio.Queue[Event | None]) -> None:
        if self._canceled:
            return
        prediction = await self._runner.run(self._inputs, read.put_nowait, prediction_id=self.id)
        read.put_nowait(Completed(prediction))


class CogConnection:
    """A Cog server at a URL. Its number of slots limits concurrent predictions, other callers' included."""

    def __init__(self, target: Target, *, timeouts: Timeouts, slot_wait_s: float = 60.0) -> None:
        self._target = target
        self._timeouts = timeouts
        self._slot_wait_s = slot_wait_s
        self._api = CogApi(target.url)
        # Serializes requests for a slot, first come, first served, because the server has no queue.
        self._turn = asyncio.Lock()
        self._cancels: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._cancels:
            # A prediction cancelled a moment ago may still hold its slot; a second cancel takes a second.
            _, unsure = await asyncio.wait(self._cancels, timeout=2 * CANCEL_AGAIN_S)
            for task in unsure:
                task.cancel()
        await self._api.close()

    async def schema(self) -> Mapping[str, Any] | None:
        timeout = httpx2.Timeout(self._timeouts.answer_s, connect=self._timeouts.connect_s)
        with mapped_errors(self._target.url):
            async with httpx2.AsyncClient(timeout=timeout, trust_env=not is_local(self._target.url)) as client:
                response = await client.get(f"{self._target.url}/openapi.json")
        if response.status_code != httpx2.codes.OK:
            return None
        try:
            document = response.json()
        except ValueError as error:
            raise TargetError(f"{self._target}: the server there is not a Cog server: {error}") from error
        return document if isinstance(document, dict) else None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"{self._target}: a Cog server does not keep predictions after their connection is closed")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction:
        body = encode_body(inputs)
        await self._turn.acquire()
        asking = True

        def started(event: Event) -> None:
            end_turn()
            feed(event)

        def end_turn() -> None:
            nonlocal asking
            if asking:
                asking = False
                self._turn.release()

        try:
            return await self._api.run(prediction_id, body, started, busy_timeout_s=self._slot_wait_s)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._ask_to_cancel(prediction_id))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)
            raise
        finally:
            end_turn()

    async def _ask_to_cancel(self, prediction_id: str) -> None:
        """Cancel an abandoned prediction, repeatedly until the server no longer has it.

        Closing the connection cancels it too, but the server loses a cancel that arrives just before the predictor's
        first line of code, and the slot would stay taken.
        """
        with suppress(WorkerError):
            while True:
                await asyncio.sleep(CANCEL_AGAIN_S)
                if not await self._api.cancel(prediction_id):
                    return


class ProjectConnection:
    """A project on this machine, whose Cog server is started with the first prediction and kept running."""

    def __init__(self, target: Target) -> None:
        folder = Path(target.name).expanduser()
        if not (folder / "cog.yaml").is_file():
            raise TargetMissingError(f"{target}: there is no cog.yaml in {folder}")
        self._project = Project.load(folder)
        self._stack = AsyncExitStack()
        self._queue: LocalQueue | None = None
        self._starting = asyncio.Lock()

    async def close(self) -> None:
        await self._stack.aclose()

    async def schema(self) -> Mapping[str, Any] | None:
        return await asyncio.to_thread(_read_schema, self._project)

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        await self._start()
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"a local project does not keep predictions after their connection is closed: {job_id}")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction:
        queue = await self._start()
        asked_at = time.monotonic()
        cold_start_s = 0.0
        if not queue.ready:
            await queue.wait_ready(float("inf"))
            cold_start_s = time.monotonic() - asked_at
        started_at = asked_at

        def note(event: Event) -> None:
            nonlocal started_at
            if isinstance(event, Started):
                started_at = time.monotonic()
            feed(event)

        prediction = await queue.run(inputs, note, prediction_id=prediction_id)
        queue_s = max(0.0, started_at - asked_at - cold_start_s)
        return _with(prediction, queue_s=queue_s, cold_start_s=cold_start_s)

    async def _start(self) -> LocalQueue:
        async with self._starting:
            if self._queue is None:
                self._queue = await self._stack.enter_async_context(
                    LocalQueue(lambda: Worker(self._project, ServerOptions(private=True)))
                )
        return self._queue


def _mapped(error: WorkerError) -> PilotlightError:
    """Return a worker's failure as the caller's error; a setup failure is returned unchanged, with its logs."""
    if isinstance(error, SetupFailedError | WorkerMemoryError):
        return error
    if isinstance(error, WorkerBusyError):
        return TargetBusyError(str(error))
    return TargetUnavailableError(str(error), sent=not _unreached(error.__cause__))


def _unreached(cause: BaseException | None) -> bool:
    """Return whether no connection was made. There is no errno when all of several addresses have failed."""
    return isinstance(cause, ConnectionRefusedError | socket.gaierror) or (
        isinstance(cause, OSError) and cause.errno is None
    )


def _read_schema(project: Project) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(ensure_schema(project).read_text(encoding="utf-8"))
    return schema


def _with(prediction: Prediction, **metrics: float) -> Prediction:
    """Return the prediction with these metrics added; existing metrics of the same name are kept."""
    return replace(prediction, metrics={**metrics, **prediction.metrics})

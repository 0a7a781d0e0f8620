"""Targets without an API between: a running Cog server, or a project that is started here."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
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
from pilotlight.runtime import Completed, Event, Log, Output, Project, Started, Supervisor, Worker, new_prediction_id
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.runtime.http.request import encode_body
from pilotlight.runtime.schema.schema_file import ensure_schema
from pilotlight.types import Prediction, Status


class Runner(Protocol):
    """Runs a prediction for as long as its events are read; leaving them cancels it."""

    def stream(self, inputs: Mapping[str, Any], prediction_id: str) -> AsyncGenerator[Event, None]: ...


class LocalJob:
    """A prediction that lives and dies with the connection that it runs on."""

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
        # Not in the task itself: one that is cancelled before its first step never takes one.
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
                        event = _with(event, wait_s=began_at - asked_at, predict_s=time.monotonic() - began_at)
                yield event
            if self._canceled and not self._status.terminal:
                self._status = Status.CANCELED
                yield Completed(Prediction(self.id, Status.CANCELED, output=seen or None, logs="".join(printed)))
            elif not self._status.terminal:
                await self._reader  # raises what ended it
        except WorkerError as error:
            raise _mapped(error) from error
        finally:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _read(self, read: asyncio.Queue[Event | None]) -> None:
        if self._canceled:
            return
        async with aclosing(self._runner.stream(self._inputs, self.id)) as events:
            async for event in events:
                read.put_nowait(event)


class CogConnection:
    """A Cog server at a URL. It holds as many predictions as it has slots; whoever shares it must share those."""

    def __init__(self, target: Target, *, timeouts: Timeouts, slot_wait_s: float = 60.0) -> None:
        self._target = target
        self._timeouts = timeouts
        self._slot_wait_s = slot_wait_s
        self._api = CogApi(target.url)
        # Who has come first asks for a slot first, and one at a time: the server has no queue.
        self._turn = asyncio.Lock()

    async def close(self) -> None:
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
            raise TargetError(f"{self._target}: what answers there is no Cog server: {error}") from error
        return document if isinstance(document, dict) else None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"{self._target}: a Cog server forgets a prediction together with its connection")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def stream(self, inputs: Mapping[str, Any], prediction_id: str) -> AsyncGenerator[Event, None]:
        body = encode_body(inputs)
        async with aclosing(self._api.events(prediction_id, body, busy_timeout_s=self._slot_wait_s)) as events:
            async with self._turn:
                first = await anext(events)
            yield first
            async for event in events:
                yield event


class ProjectConnection:
    """A project of this machine, under a Cog server that is started with the first prediction, and kept up."""

    def __init__(self, target: Target) -> None:
        folder = Path(target.name).expanduser()
        if not (folder / "cog.yaml").is_file():
            raise TargetMissingError(f"{target}: there is no cog.yaml in {folder}")
        self._project = Project.load(folder)
        self._stack = AsyncExitStack()
        self._supervisor: Supervisor | None = None
        self._starting = asyncio.Lock()

    async def close(self) -> None:
        await self._stack.aclose()

    async def schema(self) -> Mapping[str, Any] | None:
        return await asyncio.to_thread(_read_schema, self._project)

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        await self._start()
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"a project that runs here forgets a prediction together with its connection: {job_id}")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def stream(self, inputs: Mapping[str, Any], prediction_id: str) -> AsyncGenerator[Event, None]:
        supervisor = await self._start()
        asked_at = time.monotonic()
        cold_start_s = 0.0
        if not supervisor.ready:
            await supervisor.wait_ready(float("inf"))
            cold_start_s = time.monotonic() - asked_at
        started_at = asked_at
        async with aclosing(supervisor.stream(inputs, prediction_id=prediction_id)) as events:
            async for event in events:
                if isinstance(event, Started):
                    started_at = time.monotonic()
                if isinstance(event, Completed):
                    queue_s = max(0.0, started_at - asked_at - cold_start_s)
                    yield _with(event, queue_s=queue_s, cold_start_s=cold_start_s)
                else:
                    yield event

    async def _start(self) -> Supervisor:
        async with self._starting:
            if self._supervisor is None:
                self._supervisor = await self._stack.enter_async_context(Supervisor(lambda: Worker(self._project)))
        return self._supervisor


def _mapped(error: WorkerError) -> PilotlightError:
    """What a worker's failure is to a caller; a predictor that cannot be set up is worth its own name, and its logs."""
    if isinstance(error, SetupFailedError | WorkerMemoryError):
        return error
    if isinstance(error, WorkerBusyError):
        return TargetBusyError(str(error))
    return TargetUnavailableError(str(error), sent=not _unreached(error.__cause__))


def _unreached(cause: BaseException | None) -> bool:
    """Whether there was no connection. The system has no number for several addresses that have all failed."""
    return isinstance(cause, ConnectionRefusedError | socket.gaierror) or (
        isinstance(cause, OSError) and cause.errno is None
    )


def _read_schema(project: Project) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(ensure_schema(project).read_text(encoding="utf-8"))
    return schema


def _with(event: Completed, **metrics: float) -> Completed:
    """The same end with these numbers, where it has none of its own."""
    return Completed(replace(event.prediction, metrics={**metrics, **event.prediction.metrics}))

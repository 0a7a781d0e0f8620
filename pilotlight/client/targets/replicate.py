"""Client of Replicate's HTTP API, which Replicate and pilotlight gateways serve."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import urllib.parse
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

from pilotlight.client.connection import Timeouts
from pilotlight.client.errors import following, parse_errors, unsent
from pilotlight.client.http import Http, Retry
from pilotlight.client.targets.names import Target
from pilotlight.errors import TargetError, TargetMissingError
from pilotlight.runtime.events import Completed, Event, Log, Output, Started
from pilotlight.runtime.predictor_schema import PredictorSchema
from pilotlight.types import Prediction, Status

_LOG = logging.getLogger(__name__)

API_URL = "https://api.replicate.com"

# The API sends a comment at least every 30 s while a stream is open.
_SILENCE_S = 60.0
# Intervals between polls of a prediction that has no stream; the first are shorter, for short predictions.
_POLLS_S = (0.05, 0.1, 0.2, 0.35)
_POLL_S = 0.5
# The smallest ``Cancel-After`` that the API accepts, in seconds.
_LEAST_CANCEL_AFTER_S = 5
_MOST_CANCEL_AFTER_S = 86400
# Replicate's status of a prediction whose ``Cancel-After`` passed before it began; a gateway does not use it.
_ABORTED = "aborted"


class ReplicateConnection:
    """A connection to a model or deployment through Replicate's API.

    Args:
        target: of kind ``replicate``, ``replicate-deployment`` or ``gateway``.
        token: bearer token; may be empty for a gateway on this machine.
        timeouts: limits of single requests.
        retry: retry policy of single requests.
        url: the API's URL; by default Replicate's, or the gateway's own.
    """

    def __init__(
        self, target: Target, *, token: str, timeouts: Timeouts, retry: Retry | None = None, url: str | None = None
    ) -> None:
        self._target = target
        self._name = target.name
        # A gateway without tokens still requires this header for file uploads, because web pages cannot send it.
        headers = {"Authorization": f"Bearer {token or 'none'}"}
        self._http = Http((url or target.url or API_URL).rstrip("/"), headers, timeouts, retry)
        self._schema: Mapping[str, Any] | None = None
        self._looked = False
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        await self._http.close()

    async def schema(self) -> Mapping[str, Any] | None:
        async with self._looking:
            if not self._looked:
                self._schema = await self._find_schema()
                self._looked = True
        return self._schema

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> ReplicateJob:
        headers = {}
        if total_s is not None:
            headers["Cancel-After"] = f"{math.ceil(min(max(total_s, _LEAST_CANCEL_AFTER_S), _MOST_CANCEL_AFTER_S))}s"
        body: dict[str, Any] = {"input": dict(inputs), "stream": True}
        with unsent():
            path = await self._create_path()
        if path == "/v1/predictions":
            body["version"] = self._target.version
        return self._job(await self._http.call("POST", path, body=body, headers=headers, within_s=total_s))

    async def attach(self, job_id: str) -> ReplicateJob:
        return self._job(await self._http.call("GET", f"/v1/predictions/{urllib.parse.quote(job_id, safe='')}"))

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        answer = await self._http.call("POST", "/v1/files", files={"content": (name, content, content_type)})
        with parse_errors(self._target):
            url: str = answer["urls"]["get"]
        return url

    def _job(self, answer: Any) -> ReplicateJob:
        with parse_errors(self._target):
            return ReplicateJob(self._http, answer, decodes=_decoder(self._schema))

    async def _create_path(self) -> str:
        if self._target.version is not None:
            return "/v1/predictions"
        kind = "deployments" if self._target.kind == "replicate-deployment" else "models"
        return f"/v1/{kind}/{await self._model_name()}/predictions"

    async def _model_name(self) -> str:
        """Return ``OWNER/NAME``; for a gateway target without a name, that of the first model it serves."""
        if not self._name:
            answer = await self._http.call("GET", "/v1/models")
            with parse_errors(self._target):
                names = [f"{one['owner']}/{one['name']}" for one in answer["results"]]
            if not names:
                raise TargetMissingError(f"{self._target} serves no model yet; push one, or name a project to serve")
            self._name = names[0]
        return self._name

    async def _find_schema(self) -> Mapping[str, Any] | None:
        """Return the version's OpenAPI document; Replicate's own official models do not provide it."""
        name, version = await self._model_name(), self._target.version
        try:
            with parse_errors(self._target):
                if self._target.kind == "replicate-deployment":
                    release = (await self._http.call("GET", f"/v1/deployments/{name}"))["current_release"]
                    name, version = release["model"], release["version"]
                if version is None:
                    latest = (await self._http.call("GET", f"/v1/models/{name}")).get("latest_version")
                else:
                    latest = await self._http.call("GET", f"/v1/models/{name}/versions/{version}")
                schema: Mapping[str, Any] | None = (latest or {}).get("openapi_schema")
        except TargetMissingError:
            return None
        return schema


class ReplicateJob:
    """One prediction.

    Args:
        http: the API.
        answer: the prediction as the API returns it.
        decodes: whether chunks of its stream are JSON rather than text.
    """

    def __init__(self, http: Http, answer: Mapping[str, Any], *, decodes: bool) -> None:
        self._http = http
        self._answer = answer
        self._decodes = decodes
        self._chunks: list[Any] = []
        self._logs = ""
        self.id: str = answer["id"]
        self._status = status_of(answer)

    async def status(self) -> Status:
        if not self._status.terminal:
            await self._look()
        return self._status

    async def cancel(self) -> None:
        if not self._status.terminal:
            self._take(await self._http.call("POST", f"/v1/predictions/{self.id}/cancel", repeatable=True))

    async def events(self) -> AsyncGenerator[Event, None]:
        began = False
        async with aclosing(self._told()) as told:
            async for event in told:
                began = True
                yield event
        polls = iter(_POLLS_S)
        while True:
            if not began and self._status is not Status.STARTING:
                began = True
                yield Started(self.id)
            if self._status.terminal:
                break
            await asyncio.sleep(next(polls, _POLL_S))
            await self._look()
        with parse_errors(f"prediction {self.id}"):
            unseen, prediction = self._unseen(), prediction_of(self._answer)
        for event in unseen:
            yield event
        yield Completed(prediction)

    async def _told(self) -> AsyncGenerator[Event, None]:
        """Yield ``Started`` and the stream's events; polls for the start, which the stream does not report."""
        polls = iter(_POLLS_S)
        async with aclosing(self._streamed()) as stream:
            coming = asyncio.create_task(_next(stream))
            try:
                while not coming.done() and self._status is Status.STARTING:
                    await asyncio.wait([coming], timeout=next(polls, _POLL_S))
                    if not coming.done():
                        await self._look()
                if not coming.done() or coming.result() is not None:
                    yield Started(self.id)
                event = await coming
            finally:
                coming.cancel()
                await asyncio.wait([coming])
            while event is not None:
                yield event
                event = await _next(stream)

    async def _streamed(self) -> AsyncGenerator[Output | Log, None]:
        """Yield the stream's events, if it has a stream. A broken stream is left: polling yields what is missing."""
        with parse_errors(f"prediction {self.id}"):
            url = (self._answer.get("urls") or {}).get("stream")
        if not url or self._status.terminal:
            return
        try:
            async with self._http.events(url, silence_s=_SILENCE_S) as events:
                async for event in events:
                    if event.event == "output":
                        self._chunks.append(json.loads(event.data) if self._decodes else event.data)
                        yield Output(self._chunks[-1], len(self._chunks) - 1)
                    elif event.event == "logs":
                        self._logs += event.data
                        yield Log("stdout", event.data)
                    elif event.event == "done":
                        break
        except (TargetError, ValueError) as error:
            _LOG.info("stopped reading the stream of prediction %s: %s", self.id, error)
        await self._look()

    def _unseen(self) -> list[Output | Log]:
        """Return output and logs of the ended prediction that no stream event contained."""
        unseen: list[Output | Log] = []
        logs = self._answer.get("logs") or ""
        if logs.startswith(self._logs) and len(logs) > len(self._logs):
            unseen.append(Log("stdout", logs[len(self._logs) :]))
        output = self._answer.get("output")
        if output is not None:
            chunks = output if isinstance(output, list) else [output]
            unseen += [Output(one, number) for number, one in enumerate(rest(chunks, self._chunks), len(self._chunks))]
        return unseen

    async def _look(self) -> None:
        with following(f"prediction {self.id}"):
            self._take(await self._http.call("GET", f"/v1/predictions/{self.id}"))

    def _take(self, answer: Any) -> None:
        with parse_errors(f"prediction {self.id}"):
            self._status = status_of(answer)
            self._answer = answer


async def _next(stream: AsyncGenerator[Output | Log, None]) -> Output | Log | None:
    return await anext(stream, None)


def rest(chunks: list[Any], seen: list[Any]) -> list[Any]:
    """Return the output that no event contained; one event may hold several chunks of a text."""
    if chunks[: len(seen)] != seen and all(isinstance(one, str) for one in [*chunks, *seen]):
        whole, start = "".join(chunks), "".join(seen)
        if whole.startswith(start):
            return [whole[len(start) :]] if len(whole) > len(start) else []
    return chunks[len(seen) :]


def _decoder(schema: Mapping[str, Any] | None) -> bool:
    """Return whether chunks of the output are anything but text."""
    return bool(PredictorSchema.of(schema or {}).output.item.get("type", "string") != "string")


def status_of(answer: Mapping[str, Any]) -> Status:
    """Return the status in a prediction's API response; raises ``ValueError`` or ``KeyError`` without a known one."""
    return Status.CANCELED if answer["status"] == _ABORTED else Status(answer["status"])


def prediction_of(answer: Mapping[str, Any]) -> Prediction:
    """Convert a prediction in an API response.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the response is not a prediction.
    """
    metrics = dict(answer.get("metrics") or {})
    created, started, ended = (_time_s(answer.get(name)) for name in ("created_at", "started_at", "completed_at"))
    if created is not None and started is not None:
        metrics.setdefault("wait_s", max(0.0, started - created))
    elif created is not None and ended is not None:
        metrics.setdefault("wait_s", max(0.0, ended - created))
    if "predict_time" in metrics:
        metrics.setdefault("predict_s", metrics["predict_time"])
    return Prediction(
        id=answer["id"],
        status=status_of(answer),
        output=answer.get("output"),
        error=None if answer.get("error") is None else str(answer["error"]),
        logs=answer.get("logs") or "",
        metrics=metrics,
    )


def _time_s(text: str | None) -> float | None:
    """Convert an ISO time to seconds since 1970; ``None`` stays ``None``."""
    return None if not text else datetime.fromisoformat(text).timestamp()

"""Replicate's HTTP API, as Replicate and a pilotlight gateway serve it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

from pilotlight.client.connection import Timeouts
from pilotlight.client.http import Http, Retry
from pilotlight.client.targets import Target
from pilotlight.errors import TargetError, TargetMissingError, TargetUnavailableError, UsageError
from pilotlight.runtime.events import Completed, Event, Log, Output, Started
from pilotlight.types import Prediction, Status

API_URL = "https://api.replicate.com"

# The API sends a comment at least every 30 s while a stream is open.
_SILENCE_S = 60.0
# Between two looks at a prediction that has no stream; the first ones come sooner, for those that are short.
_POLLS_S = (0.05, 0.1, 0.2, 0.35)
_POLL_S = 0.5
# What the API takes for Cancel-After.
_LEAST_CANCEL_AFTER_S = 5
_MOST_CANCEL_AFTER_S = 86400


class ReplicateConnection:
    """A model or a deployment behind Replicate's API.

    Args:
        target: of kind ``replicate``, ``replicate-deployment`` or ``gateway``.
        token: what the API wants as a bearer; may be empty for a gateway on this machine.
        timeouts: of single requests.
        retry: of single requests.
        url: where the API is; by default Replicate's, or the gateway's own.
    """

    def __init__(
        self, target: Target, *, token: str, timeouts: Timeouts, retry: Retry | None = None, url: str | None = None
    ) -> None:
        self._target = target
        self._name = target.name
        headers = {"Authorization": f"Bearer {token}"} if token else {}
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
        path = await self._create_path()
        if path == "/v1/predictions":
            body["version"] = self._target.version
        answer = await self._http.call("POST", path, body=body, headers=headers)
        return self._job(answer)

    async def attach(self, job_id: str) -> ReplicateJob:
        return self._job(await self._http.call("GET", f"/v1/predictions/{job_id}"))

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        answer = await self._http.call("POST", "/v1/files", files={"content": (name, content, content_type)})
        url: str = answer["urls"]["get"]
        return url

    def _job(self, answer: Any) -> ReplicateJob:
        try:
            return ReplicateJob(self._http, answer, decodes=_decoder(self._schema))
        except (KeyError, TypeError, ValueError) as error:
            raise TargetError(f"{self._target} answered with something that is no prediction: {error}") from error

    async def _create_path(self) -> str:
        if self._target.version is not None:
            return "/v1/predictions"
        kind = "deployments" if self._target.kind == "replicate-deployment" else "models"
        return f"/v1/{kind}/{await self._model_name()}/predictions"

    async def _model_name(self) -> str:
        """``OWNER/NAME``; of a gateway's target without one, the first model that it serves."""
        if not self._name:
            listed = (await self._http.call("GET", "/v1/models"))["results"]
            if not listed:
                raise TargetMissingError(f"{self._target} serves no model yet; push one, or name a project to serve")
            self._name = f"{listed[0]['owner']}/{listed[0]['name']}"
        return self._name

    async def _find_schema(self) -> Mapping[str, Any] | None:
        """What the version says of itself; models that Replicate runs itself do not show it."""
        name, version = await self._model_name(), self._target.version
        try:
            if self._target.kind == "replicate-deployment":
                release = (await self._http.call("GET", f"/v1/deployments/{name}"))["current_release"]
                name, version = release["model"], release["version"]
            if version is None:
                latest = (await self._http.call("GET", f"/v1/models/{name}")).get("latest_version")
            else:
                latest = await self._http.call("GET", f"/v1/models/{name}/versions/{version}")
        except TargetMissingError:
            return None
        schema: Mapping[str, Any] | None = (latest or {}).get("openapi_schema")
        return schema


class ReplicateJob:
    """One prediction.

    Args:
        http: the API.
        answer: the prediction as the API shows it.
        decodes: whether chunks of its stream are JSON rather than text.
    """

    def __init__(self, http: Http, answer: Mapping[str, Any], *, decodes: bool) -> None:
        self._http = http
        self._answer = answer
        self._decodes = decodes
        self._chunks: list[Any] = []
        self._logs = ""
        self.id: str = answer["id"]
        Status(answer["status"])

    async def status(self) -> Status:
        if not self._ended:
            await self._look()
        return Status(self._answer["status"])

    async def cancel(self) -> None:
        if not self._ended:
            self._answer = await self._http.call("POST", f"/v1/predictions/{self.id}/cancel", repeatable=True)

    async def events(self) -> AsyncGenerator[Event, None]:
        began = False
        async for event in self._streamed():
            if not began:
                began = True
                yield Started(self.id)
            yield event
        polls = iter(_POLLS_S)
        while True:
            if not began and self._answer["status"] != Status.STARTING:
                began = True
                yield Started(self.id)
            if self._ended:
                break
            await asyncio.sleep(next(polls, _POLL_S))
            await self._look()
        for event in self._unseen():
            yield event
        yield Completed(_prediction(self._answer))

    async def _streamed(self) -> AsyncGenerator[Output | Log, None]:
        """What the stream brings, where there is one. One that breaks is left: asking again brings what is missing."""
        url = (self._answer.get("urls") or {}).get("stream")
        if not url or self._ended:
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
        except (TargetUnavailableError, TargetMissingError, ValueError):
            pass
        await self._look()

    def _unseen(self) -> list[Output | Log]:
        """What the end shows and no stream has brought."""
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
        self._answer = await self._http.call("GET", f"/v1/predictions/{self.id}")

    @property
    def _ended(self) -> bool:
        return Status(self._answer["status"]).terminal


def rest(chunks: list[Any], seen: list[Any]) -> list[Any]:
    """What of an output no event has brought; one event may hold several chunks of a text."""
    if chunks[: len(seen)] != seen and all(isinstance(one, str) for one in [*chunks, *seen]):
        whole, start = "".join(chunks), "".join(seen)
        if whole.startswith(start):
            return [whole[len(start) :]] if len(whole) > len(start) else []
    return chunks[len(seen) :]


def _decoder(schema: Mapping[str, Any] | None) -> bool:
    """Whether a chunk of the output is anything but text."""
    try:
        output = schema["components"]["schemas"]["Output"] if schema else {}
    except KeyError:
        return False
    item = output.get("items", output) if output.get("type") == "array" else output
    return bool(item.get("type", "string") != "string")


def _prediction(answer: Mapping[str, Any]) -> Prediction:
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
        status=Status(answer["status"]),
        output=answer.get("output"),
        error=None if answer.get("error") is None else str(answer["error"]),
        logs=answer.get("logs") or "",
        metrics=metrics,
    )


def _time_s(text: str | None) -> float | None:
    """Seconds since 1970 of an ISO time."""
    return None if not text else datetime.fromisoformat(text).timestamp()


def require_token(token: str | None, target: Target, variable: str) -> str:
    """The token.

    Raises:
        UsageError: there is none.
    """
    if not token:
        raise UsageError(f"{target} needs a token: give token=..., or set {variable}")
    return token

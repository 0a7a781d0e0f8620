"""A serverless endpoint of RunPod, over its HTTP API: the official client loses failures and ends of streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pilotlight.client.connection import Timeouts
from pilotlight.client.http import Http, Retry
from pilotlight.client.targets import Target
from pilotlight.errors import InputError, TargetError
from pilotlight.runtime.events import Completed, Event, Output, Started
from pilotlight.types import Prediction, Status

API_URL = "https://api.runpod.ai/v2"

# What /run takes.
MAX_BODY_BYTES = 10 * 1000 * 1000
# What RunPod takes for how long a job may exist. Sooner ends are the client's own to see to.
_LEAST_TTL_S = 10.0
_MOST_TTL_S = 7 * 86400.0
_POLLS_S = (0.05, 0.1, 0.2, 0.35)
_POLL_S = 0.5
_MS = 1000.0

_STATES = {
    "IN_QUEUE": Status.STARTING,
    "IN_PROGRESS": Status.PROCESSING,
    "COMPLETED": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "TIMED_OUT": Status.FAILED,
    "CANCELLED": Status.CANCELED,
}


class RunPodConnection:
    """An endpoint.

    Args:
        target: of kind ``runpod``.
        token: an API key.
        timeouts: of single requests.
        retry: of single requests.
        url: where the API is, with its version.
    """

    def __init__(
        self, target: Target, *, token: str, timeouts: Timeouts, retry: Retry | None = None, url: str | None = None
    ) -> None:
        self._target = target
        base = f"{(url or API_URL).rstrip('/')}/{target.name}"
        self._http = Http(base, {"Authorization": f"Bearer {token}"}, timeouts, retry)

    async def close(self) -> None:
        await self._http.close()

    async def schema(self) -> Mapping[str, Any] | None:
        """RunPod keeps no schema of its endpoints."""
        return None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> RunPodJob:
        body: dict[str, Any] = {"input": dict(inputs)}
        size_bytes = len(json.dumps(body, ensure_ascii=False).encode())
        if size_bytes > MAX_BODY_BYTES:
            largest = max(inputs, key=lambda name: len(json.dumps(inputs[name])))
            raise InputError(
                largest, f"the request has {size_bytes:,} bytes, RunPod takes {MAX_BODY_BYTES:,}; give a URL"
            )
        if total_s is not None:
            body["policy"] = {"ttl": round(min(max(total_s, _LEAST_TTL_S), _MOST_TTL_S) * _MS)}
        answer = await self._http.call("POST", "/run", body=body)
        return self._job(answer)

    async def attach(self, job_id: str) -> RunPodJob:
        return self._job(await self._http.call("GET", f"/status/{job_id}"))

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    def _job(self, answer: Any) -> RunPodJob:
        try:
            return RunPodJob(self._http, answer)
        except (KeyError, TypeError) as error:
            raise TargetError(f"{self._target} answered with something that is no job: {error}") from error


class RunPodJob:
    """One job; ``answer`` is what the API says of it."""

    def __init__(self, http: Http, answer: Mapping[str, Any]) -> None:
        self._http = http
        self._state: str = answer["status"]
        self._chunks: list[Any] = []
        self.id: str = answer["id"]

    async def status(self) -> Status:
        await self._look()
        return self._status

    async def cancel(self) -> None:
        if not self._status.terminal:
            await self._http.call("POST", f"/cancel/{self.id}", repeatable=True)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Output comes from ``/stream``, which gives what has come since it was asked last, and the state."""
        began = False
        quiet = iter(_POLLS_S)
        while True:
            answer = await self._http.call("GET", f"/stream/{self.id}")
            self._state = answer.get("status", self._state)
            chunks = [one["output"] for one in answer.get("stream") or []]
            if not began and (chunks or self._status is not Status.STARTING):
                began = True
                yield Started(self.id)
            for chunk in chunks:
                self._chunks.append(chunk)
                yield Output(chunk, len(self._chunks) - 1)
            if self._status.terminal and not chunks:
                break
            if chunks:
                quiet = iter(_POLLS_S)
            else:
                await asyncio.sleep(next(quiet, _POLL_S))
        last = _prediction(await self._look(), self._chunks, self._status)
        if not self._chunks and last.output is not None:
            chunks = last.output if isinstance(last.output, list) else [last.output]
            for index, chunk in enumerate(chunks):
                yield Output(chunk, index)
        yield Completed(last)

    async def _look(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._http.call("GET", f"/status/{self.id}")
        self._state = answer["status"]
        return answer

    @property
    def _status(self) -> Status:
        try:
            return _STATES[self._state]
        except KeyError:
            raise TargetError(
                f"RunPod says that job {self.id} is {self._state!r}, which is no state that we know"
            ) from None


def _prediction(answer: Mapping[str, Any], chunks: list[Any], status: Status) -> Prediction:
    metrics = {
        name: answer[key] / _MS
        for name, key in (("wait_s", "delayTime"), ("predict_s", "executionTime"))
        if key in answer
    }
    output, error = answer.get("output"), answer.get("error")
    if status is Status.FAILED and not error:
        error = "RunPod ended it: it took longer than allowed" if answer["status"] == "TIMED_OUT" else "it failed"
    return Prediction(
        id=answer["id"],
        status=status,
        # Without return_aggregate_stream RunPod keeps nothing of what a generator has yielded.
        output=chunks if chunks and not output else output,
        error=str(error) if status is Status.FAILED else None,
        metrics=metrics,
    )

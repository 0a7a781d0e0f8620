"""A RunPod serverless endpoint, over HTTP because the official client loses failures and the end of streams."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pilotlight.client.connection import Timeouts
from pilotlight.client.errors import following, parse_errors
from pilotlight.client.http import Http, Retry
from pilotlight.client.targets.names import Target
from pilotlight.errors import InputError, TargetBusyError, TargetError, TargetUnavailableError
from pilotlight.runtime.events import Completed, Event, Output, Started
from pilotlight.types import Prediction, Status

API_URL = "https://api.runpod.ai/v2"

# Largest request body that /run accepts.
MAX_BODY_BYTES = 10 * 1000 * 1000
# The shortest job lifetime that RunPod accepts; the client itself enforces shorter limits.
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
    """A connection to an endpoint.

    Args:
        target: of kind ``runpod``.
        token: an API key.
        timeouts: limits of single requests.
        retry: retry policy of single requests.
        url: the API's URL, including its version.
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
        """Return ``None``: RunPod keeps no schemas of endpoints."""
        return None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> RunPodJob:
        body: dict[str, Any] = {"input": dict(inputs)}
        size_bytes = len(json.dumps(body, ensure_ascii=False).encode())
        if size_bytes > MAX_BODY_BYTES:
            largest = max(inputs, key=lambda name: len(json.dumps(inputs[name])))
            raise InputError(
                largest, f"the request has {size_bytes:,} bytes, RunPod accepts {MAX_BODY_BYTES:,}; give a URL"
            )
        if total_s is not None:
            body["policy"] = {"ttl": round(min(max(total_s, _LEAST_TTL_S), _MOST_TTL_S) * _MS)}
        return self._job(await self._http.call("POST", "/run", body=body, within_s=total_s))

    async def attach(self, job_id: str) -> RunPodJob:
        return self._job(await self._http.call("GET", f"/status/{urllib.parse.quote(job_id, safe='')}"))

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    def _job(self, answer: Any) -> RunPodJob:
        with parse_errors(self._target):
            return RunPodJob(self._http, answer)


class RunPodJob:
    """One job; ``answer`` is its state as the API returns it."""

    def __init__(self, http: Http, answer: Mapping[str, Any]) -> None:
        self._http = http
        self._state: str = answer["status"]
        self._chunks: list[Any] = []
        self._torn = False
        self.id: str = answer["id"]

    async def status(self) -> Status:
        await self._look()
        return self._status

    async def cancel(self) -> None:
        state = _STATES.get(self._state)
        if state is None or not state.terminal:  # a job in an unknown state may be running
            await self._http.call("POST", f"/cancel/{self.id}", repeatable=True)

    async def events(self) -> AsyncGenerator[Event, None]:
        began = False
        quiet = iter(_POLLS_S)
        while True:
            chunks = await self._new_chunks()
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
        answer = await self._look()
        with parse_errors(f"job {self.id}"):
            last = _prediction(answer, list(self._chunks), self._status)
            kept = answer.get("output")
        for chunk in self._unseen(kept):
            self._chunks.append(chunk)
            yield Output(chunk, len(self._chunks) - 1)
        yield Completed(last)

    async def _new_chunks(self) -> list[Any]:
        """Return new output from ``/stream``, which returns the chunks since the last request, and the state.

        ``/stream`` forgets chunks it has returned, so asking again after a broken response would leave a gap. After
        one, the stream is not read again; the missing chunks come from the job's final output, if the endpoint keeps
        it.
        """
        if not self._torn:
            try:
                answer = await self._http.call("GET", f"/stream/{self.id}", repeatable=False)
            except (TargetBusyError, TargetUnavailableError):
                self._torn = True
            else:
                with parse_errors(f"job {self.id}"):
                    self._state = answer.get("status", self._state)
                    return [one["output"] for one in answer.get("stream") or []]
        await self._look()
        return []

    def _unseen(self, kept: Any) -> list[Any]:
        """Return the chunks of the final output that no stream response contained.

        Args:
            kept: the job's final output: all chunks, a single value, or ``None``.

        Raises:
            TargetError: a stream broke, and the final output does not contain the missing chunks.
        """
        whole = kept if isinstance(kept, list) else [] if kept is None else [kept]
        if not self._torn:
            return [] if self._chunks else whole
        if self._status is Status.SUCCEEDED and (not whole or whole[: len(self._chunks)] != self._chunks):
            raise TargetError(f"the stream of job {self.id} broke, and the endpoint does not keep its output")
        return whole[len(self._chunks) :]

    async def _look(self) -> Mapping[str, Any]:
        with following(f"job {self.id}"):
            answer: Mapping[str, Any] = await self._http.call("GET", f"/status/{self.id}")
        with parse_errors(f"job {self.id}"):
            self._state = answer["status"]
        return answer

    @property
    def _status(self) -> Status:
        try:
            return _STATES[self._state]
        except KeyError:
            raise TargetError(f"RunPod reports the unknown state {self._state!r} for job {self.id}") from None


def _prediction(answer: Mapping[str, Any], chunks: list[Any], status: Status) -> Prediction:
    metrics = {
        name: answer[key] / _MS
        for name, key in (("wait_s", "delayTime"), ("predict_s", "executionTime"))
        if key in answer
    }
    output, error = answer.get("output"), answer.get("error")
    if status is Status.FAILED and not error:
        error = "RunPod ended the job: it exceeded its time limit" if answer["status"] == "TIMED_OUT" else "it failed"
    return Prediction(
        id=answer["id"],
        status=status,
        # Without return_aggregate_stream RunPod keeps none of the chunks that a generator yields.
        output=chunks if chunks and not output else output,
        error=str(error) if status is Status.FAILED else None,
        metrics=metrics,
    )

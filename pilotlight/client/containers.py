"""Endpoints of Vertex AI and SageMaker whose containers are ours (``pilotlight serve --on vertex|sagemaker``).

Both clouds pass a request through to the container and its answer back, so a prediction lives and dies with its
connection: leaving it cancels it. A stream ends with what became of the prediction, logs and metrics included.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import httpx2

from pilotlight.client.blocking import lines_of
from pilotlight.client.connection import Timeouts
from pilotlight.client.http import decoded, is_local, mapped_errors, raise_for_status, said_in
from pilotlight.client.local import LocalJob
from pilotlight.client.targets import Target
from pilotlight.errors import (
    ConfigError,
    InputError,
    PilotlightError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
    UsageError,
)
from pilotlight.runtime import Completed, Event, Output, Started
from pilotlight.types import Prediction, Status

_EVENTS = "text/event-stream"
_JSON_LINES = "application/jsonlines"


class _Passing:
    """What both have in common: no schema, no files, no second look at a prediction."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def schema(self) -> Mapping[str, Any] | None:
        return None

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"{self._target}: an endpoint forgets a prediction together with its connection")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None


class VertexConnection(_Passing):
    """An endpoint of Vertex AI, streamed from by ``streamRawPredict``.

    Args:
        target: of kind ``vertex``.
        token: an OAuth access token, such as ``gcloud auth print-access-token`` gives.
        timeouts: ``connect_s`` is used.
        url: where the API is; by default the target's region's.
    """

    def __init__(self, target: Target, *, token: str, timeouts: Timeouts, url: str | None = None) -> None:
        super().__init__(target)
        region = target.name.split("/")[3]
        base = (url or f"https://{region}-aiplatform.googleapis.com").rstrip("/")
        self._url = f"{base}/v1/{target.name}:streamRawPredict"
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}", "Accept": _EVENTS},
            timeout=httpx2.Timeout(None, connect=timeouts.connect_s),
            trust_env=not is_local(base),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def stream(self, inputs: Mapping[str, Any], prediction_id: str) -> AsyncGenerator[Event, None]:
        with mapped_errors(self._url):
            async with self._client.stream("POST", self._url, json={"instances": [dict(inputs)]}) as response:
                if response.status_code != httpx2.codes.OK:
                    await response.aread()
                    raise_for_status(response)
                kind = response.headers.get("content-type", "")
                if not kind.startswith(_EVENTS):
                    raise _not_ours(self._target, f"its answer is {kind or 'of no type'}")
                yield Started(prediction_id)
                chunks: list[Any] = []
                async with aclosing(decoded(response)) as events:
                    async for event in events:
                        if event.event == "output":
                            chunks.append(_json_of(event.data, self._target))
                            yield Output(chunks[-1], len(chunks) - 1)
                        elif event.event == "end":
                            end = _json_of(event.data, self._target)
                            yield Completed(_ended(prediction_id, chunks, end, self._target))
                            return
        raise TargetUnavailableError(f"{self._target} closed the connection in mid-prediction")


class SageMakerConnection(_Passing):
    """An endpoint of SageMaker, through boto3, which knows AWS's many ways to prove who one is.

    Args:
        target: of kind ``sagemaker``.
        timeouts: ``connect_s`` is used.
        url: where the API is; by default the region's.

    Raises:
        ConfigError: boto3 is not installed, or knows no region.
    """

    def __init__(self, target: Target, *, timeouts: Timeouts, url: str | None = None) -> None:
        super().__init__(target)
        try:
            boto3 = importlib.import_module("boto3")
            self._exceptions = importlib.import_module("botocore.exceptions")
            config = importlib.import_module("botocore.config").Config(
                connect_timeout=timeouts.connect_s, read_timeout=None, retries={"total_max_attempts": 1}
            )
        except ImportError as error:
            raise ConfigError(f"{target} needs boto3 ({error}): pip install 'pilotlight[sagemaker]'") from error
        try:
            self._client = boto3.client("sagemaker-runtime", endpoint_url=url, config=config)
        except self._exceptions.BotoCoreError as error:
            raise ConfigError(f"{target}: {error}; set AWS_DEFAULT_REGION") from error

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def stream(self, inputs: Mapping[str, Any], prediction_id: str) -> AsyncGenerator[Event, None]:
        chunks: list[Any] = []
        try:
            async with aclosing(lines_of(partial(self._invoke, inputs))) as lines:
                async for line in lines:
                    if not line:
                        yield Started(prediction_id)
                        continue
                    found = _json_of(line, self._target, dict)
                    if "end" in found:
                        yield Completed(_ended(prediction_id, chunks, found["end"], self._target))
                        return
                    chunks.append(found.get("output"))
                    yield Output(chunks[-1], len(chunks) - 1)
        except PilotlightError:
            raise
        except Exception as error:  # botocore's, or of the connections below it
            raise self._mapped(error) from error
        raise TargetUnavailableError(f"{self._target} closed the connection in mid-prediction")

    def _invoke(self, inputs: Mapping[str, Any]) -> Any:
        return self._client.invoke_endpoint_with_response_stream(
            EndpointName=self._target.name,
            ContentType="application/json",
            Accept=_JSON_LINES,
            Body=json.dumps({"input": dict(inputs)}).encode(),
        )["Body"]

    def _mapped(self, error: Exception) -> PilotlightError:
        """What boto3 raises, in our words."""
        if isinstance(error, self._exceptions.EndpointConnectionError | self._exceptions.ConnectTimeoutError):
            return TargetUnavailableError(f"{self._target} cannot be reached: {error}", sent=False)
        if isinstance(error, self._exceptions.NoCredentialsError):
            return TargetAuthError(f"{self._target}: {error}")
        if not isinstance(error, self._exceptions.ClientError):
            return TargetUnavailableError(f"the connection to {self._target} broke: {error}")
        return _from_client_error(self._target, error.response)


def _from_client_error(target: Target, response: Mapping[str, Any]) -> PilotlightError:
    code = response.get("Error", {}).get("Code", "")
    words = f"{target}: {response.get('Error', {}).get('Message', code)}"
    if code == "ModelError":
        status = int(response.get("OriginalStatusCode", 500))
        said = said_in(response.get("OriginalMessage") or words)
        if status in (400, 413, 415, 422):
            return InputError("input", said)
        return TargetBusyError(said) if status == httpx2.codes.TOO_MANY_REQUESTS else TargetUnavailableError(said)
    if code in ("ValidationError", "ValidationException", "ResourceNotFound"):
        return TargetMissingError(words)
    if code in ("ThrottlingException", "ServiceUnavailable"):
        return TargetBusyError(words)
    if "AccessDenied" in code or "Token" in code or "Signature" in code:
        return TargetAuthError(words)
    return TargetError(words)


def _json_of(text: str | bytes, target: Target, kind: type = object) -> Any:
    """What our container has sent.

    Raises:
        TargetError: another one has.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _not_ours(target, error) from error
    if not isinstance(found, kind):
        raise _not_ours(target, text)
    return found


def _not_ours(target: Target, why: object) -> TargetError:
    return TargetError(f"{target} did not answer as `pilotlight serve --on {target.kind}` does: {str(why)[:200]}")


def _ended(prediction_id: str, chunks: list[Any], end: Mapping[str, Any], target: Target) -> Prediction:
    try:
        output: Any = chunks if end["iterates"] else (chunks[0] if chunks else None)
        status, error = Status(end["status"]), end["error"]
    except (KeyError, TypeError, ValueError) as wrong:
        raise _not_ours(target, wrong) from wrong
    return Prediction(prediction_id, status, output, error, end.get("logs") or "", dict(end.get("metrics") or {}))

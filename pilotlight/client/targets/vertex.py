"""A Vertex AI endpoint that runs pilotlight's container."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import httpx2

from pilotlight.client.connection import Timeouts
from pilotlight.client.errors import mapped_errors, raise_for_status
from pilotlight.client.http import Retry, decoded, is_local
from pilotlight.client.targets.containers import PassingConnection, ended, json_of, not_ours
from pilotlight.client.targets.names import Target
from pilotlight.errors import TargetUnavailableError
from pilotlight.runtime import Feed, Output, Started
from pilotlight.types import Prediction

_EVENTS = "text/event-stream"


class VertexConnection(PassingConnection):
    """A connection to an endpoint, which streams through ``streamRawPredict``.

    Args:
        target: of kind ``vertex``.
        token: an OAuth access token, such as ``gcloud auth print-access-token`` prints.
        timeouts: ``connect_s`` is used.
        retry: retry policy while the endpoint does not accept a prediction.
        url: the API's URL; by default that of the target's region.
    """

    def __init__(
        self, target: Target, *, token: str, timeouts: Timeouts, retry: Retry | None = None, url: str | None = None
    ) -> None:
        super().__init__(target, retry)
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

    async def _run_once(self, inputs: Mapping[str, Any], feed: Feed, prediction_id: str) -> Prediction:
        with mapped_errors(self._url):
            async with self._client.stream("POST", self._url, json={"instances": [dict(inputs)]}) as response:
                if response.status_code != httpx2.codes.OK:
                    await response.aread()
                    raise_for_status(response)
                kind = response.headers.get("content-type", "")
                if not kind.startswith(_EVENTS):
                    raise not_ours(self._target, f"its answer is {kind or 'of no type'}")
                feed(Started(prediction_id))
                chunks: list[Any] = []
                async with aclosing(decoded(response)) as events:
                    async for event in events:
                        if event.event == "output":
                            chunks.append(json_of(event.data, self._target))
                            feed(Output(chunks[-1], len(chunks) - 1))
                        elif event.event == "end":
                            end = json_of(event.data, self._target, dict)
                            return ended(prediction_id, chunks, end, self._target)
        raise TargetUnavailableError(f"{self._target} closed the connection before the prediction's end")

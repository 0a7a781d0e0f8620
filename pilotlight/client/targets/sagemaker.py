"""A SageMaker endpoint that runs pilotlight's container, through boto3, which supports all AWS credential sources."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from pilotlight.client.connection import TargetState, Timeouts
from pilotlight.client.http import Retry
from pilotlight.client.targets.blocking import lines_of
from pilotlight.client.targets.containers import PassingConnection, ended, json_of
from pilotlight.client.targets.names import Target
from pilotlight.client.targets.sagemaker_states import error_for, refusal, state_from
from pilotlight.errors import (
    ConfigError,
    PilotlightError,
    TargetAuthError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.prices import load_prices
from pilotlight.runtime import Feed, Output, Started
from pilotlight.types import Prediction

_JSON_LINES = "application/jsonlines"
# botocore's exceptions when a request cannot be signed.
_UNSIGNED = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("SSOError", "TokenRetrievalError", "UnauthorizedSSOTokenError"),
)


class SageMakerConnection(PassingConnection):
    """A connection to an endpoint: predictions go through SageMaker's runtime API, its state through the control plane.

    Args:
        target: of kind ``sagemaker``.
        timeouts: ``connect_s`` and ``answer_s`` are used.
        retry: retry policy while the endpoint does not accept a prediction.
        url: URL of both APIs; by default boto3 determines them from the region, or from ``AWS_ENDPOINT_URL`` and
            related variables.

    Raises:
        ConfigError: boto3 is not installed, or no region is configured.
    """

    def __init__(
        self, target: Target, *, timeouts: Timeouts, retry: Retry | None = None, url: str | None = None
    ) -> None:
        super().__init__(target, retry)
        self._timeouts = timeouts
        self._url = url
        self._control: Any = None
        self._opening = asyncio.Lock()
        try:
            boto3 = importlib.import_module("boto3")
            self._exceptions = importlib.import_module("botocore.exceptions")
            self._config = importlib.import_module("botocore.config").Config
        except ImportError as error:
            raise ConfigError(f"{target} needs boto3 ({error}): pip install 'pilotlight[sagemaker]'") from error
        try:
            # Not the default session: it cannot create two clients concurrently on two threads.
            self._session = boto3.session.Session()
            self._runtime = self._client("sagemaker-runtime", read_timeout=None, retries={"total_max_attempts": 1})
        except self._exceptions.BotoCoreError as error:
            raise ConfigError(f"{target}: {error}; set AWS_DEFAULT_REGION") from error

    async def close(self) -> None:
        for client in (self._runtime, self._control):
            if client is not None:
                await asyncio.to_thread(client.close)

    async def state(self) -> TargetState:
        """Return the endpoint's state, hardware and price per hour.

        Raises:
            TargetMissingError: there is no such endpoint.
            TargetAuthError: the credentials do not permit the request.
            TargetError: any other failure.
        """
        control = await self._opened()
        try:
            endpoint = await asyncio.to_thread(control.describe_endpoint, EndpointName=self._target.name)
        except Exception as error:  # from botocore, or from the connection below it
            mapped = self._mapped(error)
            if isinstance(mapped, TargetMissingError):
                raise TargetMissingError(
                    f"there is no endpoint {self._target.name!r} in {control.meta.region_name}; "
                    "`aws sagemaker list-endpoints` shows the existing ones"
                ) from error
            raise mapped from error
        try:
            name = endpoint["EndpointConfigName"]
            config = await asyncio.to_thread(control.describe_endpoint_config, EndpointConfigName=name)
        except Exception:  # noqa: BLE001 - it may be deleted or not permitted; the hardware is then unknown
            config = {}
        return state_from(endpoint, config, load_prices().tariffs["sagemaker"])

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction:
        try:
            return await super().run(inputs, feed, prediction_id=prediction_id)
        except TargetMissingError as error:
            raise await self._explained(error) from error

    async def _run_once(self, inputs: Mapping[str, Any], feed: Feed, prediction_id: str) -> Prediction:
        chunks: list[Any] = []
        try:
            async with aclosing(lines_of(partial(self._invoke, inputs))) as lines:
                async for line in lines:
                    if not line:
                        feed(Started(prediction_id))
                        continue
                    found = json_of(line, self._target, dict)
                    if "end" in found:
                        return ended(prediction_id, chunks, found["end"], self._target)
                    chunks.append(found.get("output"))
                    feed(Output(chunks[-1], len(chunks) - 1))
        except PilotlightError:
            raise
        except Exception as error:  # from botocore, or from the connection below it
            raise self._mapped(error) from error
        raise TargetUnavailableError(f"{self._target} closed the connection before the prediction's end")

    def _invoke(self, inputs: Mapping[str, Any]) -> Any:
        return self._runtime.invoke_endpoint_with_response_stream(
            EndpointName=self._target.name,
            ContentType="application/json",
            Accept=_JSON_LINES,
            Body=json.dumps({"input": dict(inputs)}).encode(),
        )["Body"]

    def _client(self, service: str, **settings: Any) -> Any:
        config = self._config(connect_timeout=self._timeouts.connect_s, **settings)
        return self._session.client(service, endpoint_url=self._url, config=config)

    async def _opened(self) -> Any:
        """Return the control plane's client, created once: reading the API's description outlasts a prediction."""
        async with self._opening:
            if self._control is None:
                make = partial(self._client, "sagemaker", read_timeout=self._timeouts.answer_s)
                self._control = await asyncio.to_thread(make)
        return self._control

    async def _explained(self, error: TargetMissingError) -> PilotlightError:
        """Return the reason for a missing endpoint; the runtime reports one that is being created as missing too."""
        try:
            state = await self.state()
        except TargetMissingError as missing:
            return missing
        except PilotlightError:  # permission to invoke an endpoint does not imply permission to describe it
            return error
        return refusal(self._target, state, str(error))

    def _mapped(self, error: Exception) -> PilotlightError:
        """Convert an exception of boto3."""
        if isinstance(error, self._exceptions.EndpointConnectionError | self._exceptions.ConnectTimeoutError):
            return TargetUnavailableError(f"{self._target} cannot be reached: {error}", sent=False)
        if type(error).__name__ in _UNSIGNED:
            return TargetAuthError(f"{self._target}: {error}")
        if not isinstance(error, self._exceptions.ClientError):
            return TargetUnavailableError(f"the connection to {self._target} broke: {error}")
        return error_for(self._target, error.response)

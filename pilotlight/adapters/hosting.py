"""A Cog project inside another program: the real Cog server, kept running by its own thread.

Every platform has its own contract, and an adapter could import ``predict.py`` itself. These adapters do not: Cog's
server implements everything a predictor relies on (validation, downloads, secrets, logs, metrics, scopes, cancels), and
it is the same server on every platform. It costs one local connection per prediction, about a millisecond, and a
predictor that crashes does not end the adapter.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

from pilotlight.errors import PilotlightError
from pilotlight.runtime import Event, KeeperOptions, LocalQueue, Project, ServerOptions, Worker, new_prediction_id
from pilotlight.runtime.events import Feed, stream_events
from pilotlight.runtime.schema.schema_file import schema_for
from pilotlight.runtime.schema.validation import Validator
from pilotlight.types import Prediction

T = TypeVar("T")

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


class Host:
    """Keeps a worker of ``project`` running from ``start`` to ``close``; predictions may come from any event loop.

    Inputs that the predictor does not have are ignored, or refused with ``strict_inputs``.
    """

    def __init__(
        self,
        project: Project,
        server: ServerOptions | None = None,
        keeper_options: KeeperOptions | None = None,
        *,
        strict_inputs: bool = False,
    ) -> None:
        self.project = project
        self.document = schema_for(project, python=(server or ServerOptions()).python)
        self._validator = Validator(self.document)
        self._strict_inputs = strict_inputs
        self.schema = self._validator.schema
        self._keeper_options = keeper_options or KeeperOptions()
        self._queue = LocalQueue(lambda: Worker(project, server), self._keeper_options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pilotlight-host", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def slots(self) -> int:
        """Maximum number of concurrent predictions; further ones wait."""
        return self.project.max_concurrency

    @property
    def ready(self) -> bool:
        """Whether the worker accepts predictions."""
        return self._queue.ready

    @property
    def iterates(self) -> bool:
        """Whether the output is a list that is yielded chunk by chunk."""
        return self.schema.output.iterates

    @property
    def concatenates(self) -> bool:
        """Whether the chunks of the output are parts of one text."""
        return self.schema.output.concatenates

    def start(self) -> None:
        """Start the worker and return when it is ready.

        Raises:
            PilotlightError: the worker does not become ready; the error carries its logs.
        """
        self._thread.start()
        try:
            self._here(self._queue.__aenter__())
            self._here(self._queue.wait_ready(self._keeper_options.setup_timeout_s))
        except PilotlightError:
            self.close()
            raise

    def close(self) -> None:
        """Wait for running predictions up to the grace period of the options, then stop the worker."""
        self._here(self._queue.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def stream(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Event, None]:
        """As ``LocalQueue.stream``, from any event loop; an id that Cog would not accept is replaced.

        Leaving the generator early cancels the prediction.

        Raises:
            InvalidInputError: the schema does not allow an input, or the input would make a predictor open a local
                file.
        """
        given = self._validator.check(inputs, strict=self._strict_inputs)
        callers_loop = asyncio.get_running_loop()
        used_id = usable_id(prediction_id)

        async def run(feed: Feed) -> Prediction:
            def pass_on(event: Event) -> None:
                callers_loop.call_soon_threadsafe(feed, event)

            running = self._queue.run(given, pass_on, prediction_id=used_id, context=context)
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(running, self._loop))

        async with aclosing(stream_events(run)) as events:
            async for event in events:
                yield event

    def _here(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the host's own event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def usable_id(text: str) -> str:
    """Return the id in a form that Cog accepts, so that both log the same id; a new id if no character is usable."""
    cleaned = _NOT_IN_IDS.sub("-", text)[:128].lstrip("-_")
    return cleaned or new_prediction_id()

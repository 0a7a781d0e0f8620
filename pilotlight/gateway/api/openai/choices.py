"""The predictions of one request to OpenAI's API: one for each choice of the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request

from pilotlight.engines.text.tokens.detokenize import StopFilter
from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai import schemas as openai_schemas
from pilotlight.gateway.api.openai.errors import error
from pilotlight.gateway.api.openai.inputs import Mapped
from pilotlight.gateway.api.openai.schemas import DONE, AnswerShape, Said
from pilotlight.gateway.api.request import gateway_of
from pilotlight.gateway.api.run import accept, end_for
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.router import Destination
from pilotlight.gateway.sse import PING, StreamEvent
from pilotlight.runtime.schema.validation import InvalidInputError
from pilotlight.types import Status

# A prediction that has failed would fail again; without this header OpenAI's client repeats the request twice.
_NOT_AGAIN = {"X-Should-Retry": "false"}

# How a predictor says that an input is wrong which the schema allows: by raising an ``InputError``, as ours does.
_WRONG_INPUT = re.compile(r"(?<=InputError: )(?P<name>\w+): .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Choice:
    """The prediction of one choice.

    Attributes:
        index: its place in the answer.
        active: the prediction.
        mapped: its inputs.
    """

    index: int
    active: ActivePrediction
    mapped: Mapped

    @property
    def id(self) -> str:
        """The prediction's id."""
        return self.active.id

    def said(self) -> Said:
        """Return the text of the prediction, which has ended.

        Raises:
            ApiError: it has not succeeded.
        """
        record = self.active.record
        _require_success(record, self.mapped)
        text, cut = openai_schemas.text_of_output(record.output), False
        if self.mapped.cut:
            stop = StopFilter(self.mapped.cut)
            text = stop.push(text) + stop.finish()
            cut = stop.stopped
        return Said(record, text, cut=cut)


async def accept_choices(
    request: Request, destination: Destination, mapped: Sequence[Mapped], samples: int
) -> list[Choice]:
    """Return a new prediction for each choice: all of them, or none where the queue has no room for all.

    Args:
        request: the request.
        destination: where it goes.
        mapped: the inputs of each choice.
        samples: how many choices there are of one prompt.

    Raises:
        ApiError: the inputs do not fit the version, or the queue is full.
    """
    gateway, choices = gateway_of(request), list[Choice]()
    room = gateway.pool(destination.version, destination.deployment).limits.max_waiting
    if len(mapped) > max(room, 1):
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            f"The request is for {len(mapped)} texts, but up to {room} can wait for this model: send fewer in one.",
            extra={"param": "prompt" if len(mapped) > samples else "n"},
        )
    try:
        for index, one in enumerate(mapped):
            choices.append(Choice(index, await accept(request, destination, one.inputs), one))
    except InvalidInputError as mistakes:
        leave_all(gateway, choices)
        raise _invalid(mistakes, mapped[0]) from None
    except BaseException:
        leave_all(gateway, choices)
        raise
    return choices


def leave_all(gateway: Gateway, choices: Sequence[Choice]) -> None:
    """Cancel the predictions that have not ended."""
    for choice in choices:
        gateway.leave(choice.active)


async def ends_for(request: Request, choices: Sequence[Choice]) -> list[Said]:
    """Wait until all predictions have ended; the caller cancels them by closing the connection.

    Raises:
        ApiError: one of them has not succeeded, and the others are cancelled.
    """
    gateway = gateway_of(request)
    try:
        said = []
        for choice in choices:
            await end_for(request, gateway, choice.active)
            said.append(choice.said())
        return said
    finally:
        leave_all(gateway, choices)


@dataclass(slots=True)
class _Progress:
    """How much of one choice was sent.

    Attributes:
        begun: whether its first event was.
        stop: cuts its text.
    """

    begun: bool = False
    stop: StopFilter = field(default_factory=lambda: StopFilter(()))


class ChoiceStream:
    """The predictions of one request as OpenAI's events; closing the connection cancels them.

    Args:
        gateway: runs the predictions.
        choices: the predictions.
        version: the version that runs.
        shape: the form of the events.
        samples: how many choices there are of one prompt.
        counts: whether the last event has the usage.
    """

    def __init__(
        self,
        gateway: Gateway,
        choices: Sequence[Choice],
        version: Version,
        shape: AnswerShape,
        *,
        samples: int,
        counts: bool,
    ) -> None:
        self._gateway = gateway
        self._choices = choices
        self._version = version
        self._shape = shape
        self._samples = samples
        self._counts = counts
        self._events = _merged([choice.active for choice in choices])
        self._opening: tuple[int, StreamEvent | None] | None = None
        self._progress = [_Progress(stop=StopFilter(choice.mapped.cut)) for choice in choices]

    async def open(self) -> None:
        """Wait for the first text, the first end, or a ping.

        Raises:
            ApiError: a prediction failed before there was any text.
        """
        try:
            async for index, event in self._events:
                if event is _END:
                    _require_success(self._choices[index].active.record, self._choices[index].mapped)
                if event is None or event.name in ("output", _END.name):
                    self._opening = index, event
                    return
        except BaseException:
            leave_all(self._gateway, self._choices)
            raise

    async def sent(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the events."""
        try:
            async for index, event in self._from_the_opening():
                if event is None:
                    yield PING
                elif event is _END:
                    for last in self._end(self._choices[index]):
                        yield last
                elif event.name == "output" and (piece := self._piece(index, event.data)) is not None:
                    yield piece
            if self._counts:
                records = [choice.active.record for choice in self._choices]
                yield self._shape.counted(self._version, records, self._samples)
            yield DONE
        except ApiError as failure:
            yield openai_schemas.encode(error(failure.status, failure.body))
        finally:
            leave_all(self._gateway, self._choices)

    def _piece(self, index: int, text: str) -> bytes | None:
        """Return the event for a piece of output, as far as it can be sent."""
        progress = self._progress[index]
        shown = progress.stop.push(text)
        if text and not shown:
            return None
        first, progress.begun = not progress.begun, True
        return self._event(index, shown, first=first)

    def _end(self, choice: Choice) -> list[bytes]:
        """Return the events for the end of a choice: the text that was withheld, or all of it, and the reason.

        Raises:
            ApiError: its prediction has not succeeded.
        """
        said, progress = choice.said(), self._progress[choice.index]
        pieces = []
        rest = progress.stop.finish() if progress.begun else said.text
        if rest or not progress.begun:
            pieces.append(self._event(choice.index, rest, first=not progress.begun))
        return [*pieces, self._event(choice.index, None, end=said.finish_reason)]

    def _event(self, index: int, text: str | None, *, first: bool = False, end: str | None = None) -> bytes:
        record = self._choices[0].active.record
        return self._shape.event(self._version, record, index, text, first=first, end=end, counts=self._counts)

    async def _from_the_opening(self) -> AsyncGenerator[tuple[int, StreamEvent | None], None]:
        async with aclosing(self._events) as events:
            if self._opening is not None:
                yield self._opening
            async for event in events:
                yield event


# The last event of a choice.
_END = StreamEvent("end", "")


async def _merged(actives: Sequence[ActivePrediction]) -> AsyncGenerator[tuple[int, StreamEvent | None], None]:
    """Yield the events of all predictions as they come, with the number of each; ``_END`` after its last."""
    if len(actives) == 1:
        async with aclosing(actives[0].follow()) as events:
            async for event in events:
                yield 0, event
        yield 0, _END
        return
    queue = asyncio.Queue[tuple[int, StreamEvent | None]]()

    async def read(index: int) -> None:
        async with aclosing(actives[index].follow()) as events:
            async for event in events:
                queue.put_nowait((index, event))
        queue.put_nowait((index, _END))

    readers = [asyncio.create_task(read(index)) for index in range(len(actives))]
    try:
        running = len(readers)
        while running:
            index, event = await queue.get()
            running -= event is _END
            yield index, event
    finally:
        for reader in readers:
            reader.cancel()


def _require_success(record: PredictionRecord, mapped: Mapped) -> None:
    """Raise an ``ApiError`` for a prediction that has not succeeded."""
    if record.status is Status.SUCCEEDED:
        return
    if record.status is Status.CANCELED:
        raise ApiError(HTTPStatus.CONFLICT, f"Prediction {record.id} was cancelled.", headers=_NOT_AGAIN)
    if record.status is not Status.FAILED:
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The gateway is stopping: repeat the request later.",
            headers={"Retry-After": "5"},
        )
    wrong = _WRONG_INPUT.search(record.error or "")
    if wrong is not None and wrong["name"] in mapped.params:
        extra = {"param": mapped.params[wrong["name"]]}
        raise ApiError(HTTPStatus.BAD_REQUEST, wrong[0], headers=_NOT_AGAIN, extra=extra)
    detail = f"Prediction {record.id} failed: {record.error}"
    raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, detail, headers=_NOT_AGAIN)


def _invalid(mistakes: InvalidInputError, mapped: Mapped) -> ApiError:
    lines = [f"{mapped.params.get(one.field, one.field)}: {one.message}" for one in mistakes.mistakes]
    first = mistakes.mistakes[0].field
    return ApiError(HTTPStatus.BAD_REQUEST, "; ".join(lines), extra={"param": mapped.params.get(first, first)})

"""Listeners to predictions: metrics, logs, webhooks and others are called at every step of every prediction."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from pilotlight.gateway.prediction import PredictionRecord

_LOG = logging.getLogger(__name__)


class PredictionListener(Protocol):
    """Is called at every step of every prediction; ``NullListener`` is a base for those that need only some steps.

    Every method is called on the event loop, between two steps of a prediction: return at once, and do what takes time
    in a task. An exception is logged and changes nothing for the prediction and for the other listeners.
    """

    def refused(self, record: PredictionRecord, /) -> None:
        """The queue was full: ``record`` was not accepted and is not stored."""

    def started(self, record: PredictionRecord, /) -> None:
        """A worker takes the prediction; ``record`` has its queue time and its cold start."""

    def output(self, record: PredictionRecord, chunk: Any, at: float, /) -> None:
        """A chunk of output arrived at ``at``, by the gateway's clock; ``record`` is that of the start."""

    def log(self, record: PredictionRecord, text: str, /) -> None:
        """The prediction printed ``text``; ``record`` is that of the start."""

    def ended(self, record: PredictionRecord, /) -> None:
        """The prediction has ended and is stored; one that was cancelled in the queue never started."""


class NullListener(PredictionListener):
    """Does nothing. What a class derived from it does not override costs nothing either."""

    def refused(self, record: PredictionRecord, /) -> None: ...

    def started(self, record: PredictionRecord, /) -> None: ...

    def output(self, record: PredictionRecord, chunk: Any, at: float, /) -> None: ...

    def log(self, record: PredictionRecord, text: str, /) -> None: ...

    def ended(self, record: PredictionRecord, /) -> None: ...


class Listeners:
    """The list of listeners, in the order in which they are called.

    Args:
        listeners: the first ones.
    """

    def __init__(self, *listeners: PredictionListener) -> None:
        self._listeners: tuple[PredictionListener, ...] = ()
        self._failed: set[Callable[..., None]] = set()
        self._set(listeners)

    def add(self, listener: PredictionListener) -> None:
        """Tell ``listener`` of everything from now on."""
        self._set((*self._listeners, listener))

    def remove(self, listener: PredictionListener) -> None:
        """Tell ``listener`` nothing any more; safe to call twice."""
        self._set(tuple(one for one in self._listeners if one is not listener))

    def refused(self, record: PredictionRecord) -> None:
        self._tell(self._refused, record)

    def started(self, record: PredictionRecord) -> None:
        self._tell(self._started, record)

    def output(self, record: PredictionRecord, chunk: Any, at: float) -> None:
        self._tell(self._output, record, chunk, at)

    def log(self, record: PredictionRecord, text: str) -> None:
        self._tell(self._log, record, text)

    def ended(self, record: PredictionRecord) -> None:
        self._tell(self._ended, record)

    def _set(self, listeners: tuple[PredictionListener, ...]) -> None:
        self._listeners = listeners
        self._refused = _overriding(listeners, "refused")
        self._started = _overriding(listeners, "started")
        self._output = _overriding(listeners, "output")
        self._log = _overriding(listeners, "log")
        self._ended = _overriding(listeners, "ended")

    def _tell(self, calls: tuple[Callable[..., None], ...], *what: Any) -> None:
        for call in calls:
            try:
                call(*what)
            except Exception as error:  # noqa: BLE001 - whatever it is, the prediction goes on
                self._report(call, error)

    def _report(self, call: Callable[..., None], error: Exception) -> None:
        """Log the first exception of a listener's method, and no further ones: it may fail for every chunk."""
        if call not in self._failed:
            self._failed.add(call)
            name = getattr(call, "__qualname__", repr(call))
            _LOG.error("%s failed; further failures of it are not logged", name, exc_info=error)


def _overriding(listeners: tuple[PredictionListener, ...], name: str) -> tuple[Callable[..., None], ...]:
    """The methods of that name, of the listeners whose class has one of its own."""
    default = getattr(NullListener, name)
    return tuple(getattr(one, name) for one in listeners if getattr(type(one), name) is not default)

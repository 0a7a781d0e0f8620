"""The half of an encoder that is the same whatever computes: texts to tokens, a queue, and one thread that batches."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from pilotlight.engines.encoders.batch_planner import Cost, fit, next_batch, wait_s
from pilotlight.engines.encoders.types import Encoded, EncoderInfo, Network, Rows, TextRequest
from pilotlight.engines.text.types import TokenCodec
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError, WeightsError

__all__ = ["BatchingEncoder", "Frame", "measure"]

log = logging.getLogger(__name__)

# What the cost of a batch is measured with: (rows, tokens of each).  Little enough for a start, and from one short row
# to sixteen times as much.
SHAPES = ((1, 8), (1, 32), (4, 8), (4, 32))
REPEATS = 2
PROBE = "a"
STOPPED = "the engine has stopped and takes no more requests; restart it"
CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens that a model wants around every text.

    Raises:
        WeightsError: the tokenizer changes the text's own tokens when it adds them.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, codec: TokenCodec) -> Frame:
        bare, framed = codec.encode(PROBE, special_tokens=False), codec.encode(PROBE)
        for at in range(len(framed) - len(bare) + 1):
            if bare and framed[at : at + len(bare)] == bare:
                return cls(tuple(framed[:at]), tuple(framed[at + len(bare) :]))
        raise WeightsError(
            f"the tokenizer reads {PROBE!r} as {bare} and, with special tokens, as {framed}: no encoder's"
        )

    def around(self, ids: Sequence[int], max_tokens: int) -> tuple[list[int], int]:
        """(the row of at most ``max_tokens``, how many of ``ids`` it had no room for)."""
        room = max_tokens - len(self.before) - len(self.after)
        return [*self.before, *ids[:room], *self.after], max(0, len(ids) - room)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    name: str
    row: list[int]
    cut_tokens: int
    future: Future[Encoded]
    since_s: float

    def gone(self) -> bool:
        """Whether nobody wants it any more; whoever waits for the future's end learns of it now."""
        return self.future.cancelled() and not self.future.set_running_or_notify_cancel()


class BatchingEncoder:
    """An encoder over a network; what real encoders inherit.

    Args:
        network: ready to compute.
        codec: of the model.
        info: what to say of itself.  Where its cost is zero, it is measured now, which warms the network up too.
    """

    def __init__(self, network: Network, codec: TokenCodec, info: EncoderInfo) -> None:
        self._network = network
        self._codec = codec
        self._frame = Frame.of(codec)
        self._changed = threading.Condition()
        self._queue: list[_Waiting] = []
        self._inside = 0
        self._closed = False
        self._info = info
        self._measured = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pilotlight-encoder", daemon=True)
        self._thread.start()
        self._measured.wait()
        if self._failure is not None:
            raise self._failure
        atexit.register(self.close)

    @property
    def info(self) -> EncoderInfo:
        return self._info

    def assume(self, cost: Cost) -> None:
        """Cut batches from now on as if they cost this; for experiments."""
        with self._changed:
            self._info = replace(self._info, cost=cost)

    def submit(self, requests: Sequence[TextRequest]) -> list[Future[Encoded]]:
        rows = [(request.name, *self._encode(request)) for request in requests]
        now = time.monotonic()
        waiting = [_Waiting(name, row, cut, Future(), now) for name, row, cut in rows]
        with self._changed:
            if not self.healthy():
                raise EngineStoppedError(STOPPED)
            if self._inside + len(waiting) > self._info.queue_size:
                raise EngineBusyError(
                    f"{self._inside} of {self._info.queue_size} places are taken and {len(waiting)} more were asked "
                    "for; try again later"
                )
            self._inside += len(waiting)
            self._queue += waiting
            self._changed.notify()
        for one in waiting:  # outside the lock, which it takes: a future that is done calls at once
            one.future.add_done_callback(self._left)
        return [one.future for one in waiting]

    def healthy(self) -> bool:
        return not self._closed and self._thread.is_alive()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        atexit.unregister(self.close)

    def _encode(self, request: TextRequest) -> tuple[list[int], int]:
        limit = self._info.max_tokens
        ids = self._codec.encode(request.text, special_tokens=False)
        if not ids:
            raise InputError(request.name, "is nothing to this model's tokenizer; give it other text")
        row, cut = self._frame.around(ids, limit)
        if cut and not request.truncate:
            raise InputError(
                request.name, f"has {len(row) + cut} tokens; the model holds {limit}: shorten it, or set truncate"
            )
        return row, cut

    def _left(self, future: Future[Encoded]) -> None:
        with self._changed:
            self._inside -= 1

    # The thread that computes

    def _run(self) -> None:
        try:
            if self._info.cost == Cost(0.0, 0.0):
                self._info = replace(self._info, cost=measure(self._network, self._info.max_tokens))
        except Exception as error:  # noqa: BLE001 - whoever constructs the engine gets it
            self._failure = error
            return
        finally:
            self._measured.set()
        try:
            while (batch := self._next()) is not None:
                self._answer(batch)
        finally:
            self._end()

    def _next(self) -> list[_Waiting] | None:
        """The next batch, once it is due; ``None`` when the engine closes."""
        with self._changed:
            while not self._closed:
                info = self._info
                self._queue = [one for one in self._queue if not one.gone()]
                if not self._queue:
                    self._changed.wait()
                    continue
                oldest_s = time.monotonic() - self._queue[0].since_s
                if (left_s := wait_s(len(self._queue), oldest_s, info.cost, info.limits)) > 0:
                    self._changed.wait(left_s)
                    continue
                chosen = next_batch([len(one.row) for one in self._queue], info.cost, info.limits)
                batch = [self._queue[i] for i in sorted(chosen)]
                gone = set(chosen)
                self._queue = [one for i, one in enumerate(self._queue) if i not in gone]
                # From here on nobody can cancel them; who did so meanwhile leaves.
                if batch := [one for one in batch if one.future.set_running_or_notify_cancel()]:
                    return batch
        return None

    def _answer(self, batch: list[_Waiting]) -> None:
        """Compute a batch; where that fails, each text for itself, so that only the bad ones fail."""
        try:
            values = self._compute([one.row for one in batch])
        except Exception as error:  # noqa: BLE001 - the caller gets it
            if len(batch) == 1:
                batch[0].future.set_exception(EngineError(f"{batch[0].name}: the engine failed: {error}"))
                return
            log.warning("a batch of %d texts failed (%s); each is tried alone", len(batch), error)
            for one in batch:
                self._answer([one])
            return
        for one, row in zip(batch, values, strict=True):
            if all(map(math.isfinite, row)):
                one.future.set_result(Encoded(tuple(row), len(one.row), one.cut_tokens))
            else:
                one.future.set_exception(
                    EngineError(f"{one.name}: the model gave numbers that are none (NaN or infinity); try float32")
                )

    def _compute(self, rows: Rows) -> list[list[float]]:
        values = self._network.compute(rows)
        if len(values) != len(rows):
            raise EngineError(f"{len(values)} results for {len(rows)} texts: this is a bug")
        return values

    def _end(self) -> None:
        with self._changed:
            self._closed = True
            queue, self._queue = self._queue, []
        for one in queue:
            if one.future.set_running_or_notify_cancel():
                one.future.set_exception(
                    EngineStoppedError("the engine was closed while this text waited; send it again")
                )


def measure(network: Network, max_tokens: int) -> Cost:
    """What a batch costs, after one that is not counted."""
    samples = []
    for rows, longest in (SHAPES[0], *SHAPES):
        tokens = min(longest, max_tokens)
        row = [1] * tokens
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            network.compute([row] * rows)
            times.append(time.perf_counter() - started)
        samples.append((rows * tokens, max(min(times), 1e-7)))
    return fit(samples[1:])

"""The encoder over any network: texts to tokens, a queue, and a thread that forms batches."""

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
from pilotlight.engines.request_thread import STOPPED, RequestThread
from pilotlight.engines.text.types import TokenCodec
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError, WeightsError

__all__ = ["BatchingEncoder", "SpecialTokens", "measure"]

log = logging.getLogger(__name__)

# The batches that measure the cost: (rows, tokens of each). Small enough for a start, and from one short row to sixteen
# times as many tokens.
SHAPES = ((1, 8), (1, 32), (4, 8), (4, 32))
REPEATS = 2
PROBE = "a"


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens before and after every text of a model.

    Raises:
        WeightsError: the tokenizer changes the text's own tokens when it adds them.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, codec: TokenCodec) -> SpecialTokens:
        """Find them by encoding a text with and without."""
        bare, framed = codec.encode(PROBE, special_tokens=False), codec.encode(PROBE)
        for at in range(len(framed) - len(bare) + 1):
            if bare and framed[at : at + len(bare)] == bare:
                return cls(tuple(framed[:at]), tuple(framed[at + len(bare) :]))
        raise WeightsError(
            f"the tokenizer reads {PROBE!r} as {bare} and, with special tokens, as {framed}: it is no encoder's"
        )

    def around(self, ids: Sequence[int], max_tokens: int) -> tuple[list[int], int]:
        """Return the row of at most ``max_tokens``, and how many of ``ids`` were cut off."""
        room = max_tokens - len(self.before) - len(self.after)
        return [*self.before, *ids[:room], *self.after], max(0, len(ids) - room)


@dataclass(frozen=True, slots=True, eq=False)
class _QueuedText:
    name: str
    row: list[int]
    cut_tokens: int
    future: Future[Encoded]
    since_s: float


class BatchingEncoder:
    """An encoder over a network; every encoder inherits from it.

    Args:
        network: ready to compute.
        codec: of the model.
        info: what the encoder reports of itself. Where its cost is zero it is measured now, which also warms the
            network up.

    Raises:
        Exception: whatever the network raises while its cost is measured.
    """

    def __init__(self, network: Network, codec: TokenCodec, info: EncoderInfo) -> None:
        self._codec = codec
        self._frame = SpecialTokens.of(codec)
        self._info = info
        self._inside = 0  # texts running and waiting
        self._lock = threading.Lock()  # of the number above
        self._thread = _EncoderThread(network, info)
        self._thread.start()
        atexit.register(self.close)

    @property
    def info(self) -> EncoderInfo:
        return replace(self._info, cost=self._thread.cost)

    def assume(self, cost: Cost) -> None:
        """Plan batches from now on as if they had this cost; for experiments."""
        self._thread.cost = cost

    def submit(self, requests: Sequence[TextRequest]) -> list[Future[Encoded]]:
        """Queue texts; see ``EncoderEngine``."""
        rows = [(request.name, *self._encode(request)) for request in requests]
        now = time.monotonic()
        queued = [_QueuedText(name, row, cut, Future(), now) for name, row, cut in rows]
        if not self.healthy():
            raise EngineStoppedError(STOPPED)
        self._enter(len(queued))
        try:
            self._thread.add(*queued)
        except EngineStoppedError:
            self._leave(len(queued))
            raise
        for one in queued:
            one.future.add_done_callback(lambda _: self._leave(1))
        return [one.future for one in queued]

    def healthy(self) -> bool:
        return self._thread.alive()

    def close(self) -> None:
        self._thread.close()
        atexit.unregister(self.close)

    def _encode(self, request: TextRequest) -> tuple[list[int], int]:
        limit = self._info.max_tokens
        ids = self._codec.encode(request.text, special_tokens=False)
        if not ids:
            raise InputError(request.name, "has no tokens for this model's tokenizer; give it other text")
        row, cut = self._frame.around(ids, limit)
        if cut and not request.truncate:
            raise InputError(
                request.name, f"has {len(row) + cut} tokens; the model holds {limit}: shorten it, or set truncate"
            )
        return row, cut

    def _enter(self, texts: int) -> None:
        """Take places for texts, all or none."""
        places = self._info.queue_size
        with self._lock:
            if self._inside + texts > places:
                raise EngineBusyError(
                    f"{self._inside} of {places} places are taken and {texts} more were asked for; try again later"
                )
            self._inside += texts

    def _leave(self, texts: int) -> None:
        with self._lock:
            self._inside -= texts


class _EncoderThread(RequestThread[_QueuedText]):
    """Forms batches of the queued texts and computes them.

    Attributes:
        cost: of a batch; batches are planned by it.
    """

    def __init__(self, network: Network, info: EncoderInfo) -> None:
        super().__init__("pilotlight-encoder")
        self.cost = info.cost
        self._network = network
        self._limits = info.limits
        self._max_tokens = info.max_tokens
        self._batch: list[_QueuedText] = []  # only the thread uses it

    def prepare(self) -> None:
        if self.cost == Cost(0.0, 0.0):
            self.cost = measure(self._network, self._max_tokens)

    def due_s(self) -> float | None:
        self.waiting = [one for one in self.waiting if not self.gone(one)]
        if not self.waiting:
            return None
        oldest_s = time.monotonic() - self.waiting[0].since_s
        return wait_s(len(self.waiting), oldest_s, self.cost, self._limits)

    def step(self) -> None:
        with self.changed:
            lengths = [len(one.row) for one in self.waiting]
            chosen = set(next_batch(lengths, self.cost, self._limits)) if lengths else set()
            batch = [one for i, one in enumerate(self.waiting) if i in chosen]
            self.waiting = [one for i, one in enumerate(self.waiting) if i not in chosen]
        # Whose future was cancelled meanwhile drops out here; the others can be cancelled no more.
        self._batch = [one for one in batch if one.future.set_running_or_notify_cancel()]
        if self._batch:
            self._answer(self._batch)
        self._batch = []

    def running(self) -> list[_QueuedText]:
        return self._batch

    def gone(self, request: _QueuedText) -> bool:
        """Whether it was cancelled; threads that wait for the future's end are notified."""
        return request.future.cancelled() and not request.future.set_running_or_notify_cancel()

    def fail(self, request: _QueuedText, error: EngineError) -> None:
        future = request.future
        if future.running() or (not future.done() and future.set_running_or_notify_cancel()):
            future.set_exception(error)

    def _answer(self, batch: list[_QueuedText]) -> None:
        """Compute a batch; if that fails, compute each text alone, so that only the bad ones fail."""
        try:
            values = self._compute([one.row for one in batch])
        except Exception as error:  # noqa: BLE001 - the caller gets it
            if len(batch) == 1:
                batch[0].future.set_exception(EngineError(f"{batch[0].name}: the engine failed: {error}"))
                return
            log.warning("a batch of %d texts failed (%s); each is computed alone", len(batch), error)
            for one in batch:
                self._answer([one])
            return
        for one, row in zip(batch, values, strict=True):
            if all(map(math.isfinite, row)):
                one.future.set_result(Encoded(tuple(row), len(one.row), one.cut_tokens))
            else:
                one.future.set_exception(
                    EngineError(f"{one.name}: the model returned NaN or infinity; try PILOTLIGHT_DTYPE=float32")
                )

    def _compute(self, rows: Rows) -> list[list[float]]:
        values = self._network.compute(rows)
        if len(values) != len(rows):
            raise EngineError(f"{len(values)} results for {len(rows)} texts: this is a bug")
        return values


def measure(network: Network, max_tokens: int) -> Cost:
    """Measure the cost of a batch, after a first one that is not counted."""
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

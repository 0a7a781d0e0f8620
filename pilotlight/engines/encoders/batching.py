"""The encoder over any network: texts to tokens, a queue, and a thread that forms batches."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from pilotlight.engines.encoders.batch_planner import Cost, fit, next_batch, wait_s
from pilotlight.engines.encoders.frame import Frame
from pilotlight.engines.encoders.padding import LENGTHS, check_padding, sample_ids, tolerance_of
from pilotlight.engines.encoders.types import (
    Encoded,
    EncoderCodec,
    EncoderInfo,
    Network,
    Padding,
    Row,
    Rows,
    Task,
    TextRequest,
)
from pilotlight.engines.request_thread import STOPPED, RequestThread
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError, WeightsError

__all__ = ["BatchingEncoder", "measure"]

log = logging.getLogger(__name__)

# The batches that measure the cost: (rows, tokens of each). Small enough for a start, and from one short row to sixteen
# times as many tokens.
SHAPES = ((1, 8), (1, 32), (4, 8), (4, 32))
REPEATS = 2
# What the start computes with: a text of ordinary words, so that its tokens are some that the model knows.
SAMPLE = "The old harbour was quiet that morning, and the boats lay close together while children ran along the wall."


@dataclass(frozen=True, slots=True, eq=False)
class _QueuedText:
    name: str
    row: Row
    cut_tokens: int
    future: Future[Encoded]
    since_s: float


class BatchingEncoder:
    """An encoder over a network; every encoder inherits from it.

    Args:
        network: ready to compute.
        codec: of the model.
        info: what the encoder reports of itself. Where its padding is ``None`` it is found out now, and where its cost
            is zero it is measured, which also warms the network up.

    Raises:
        WeightsError: the tokenizer is no encoder's, or the model cannot compute a text from its tokens.
        Exception: whatever the network raises while its cost is measured.
    """

    def __init__(self, network: Network, codec: EncoderCodec, info: EncoderInfo) -> None:
        self._codec = codec
        self._frame = Frame.of(codec)
        self._info = info
        self._inside = 0  # texts running and waiting
        self._lock = threading.Lock()  # of the number above
        self._thread = _EncoderThread(network, info, self._sample)
        self._thread.start()
        atexit.register(self.close)

    @property
    def info(self) -> EncoderInfo:
        return replace(self._info, cost=self._thread.cost, padding=self._thread.padding, limits=self._thread.limits)

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

    def _encode(self, request: TextRequest) -> tuple[Row, int]:
        """Return the row of a text or a pair, and how many of its tokens were cut off.

        Raises:
            InputError: it has no tokens, is too long and must not be cut, or is no input for this model.
        """
        info, name = self._info, request.name
        prompt = self._prompt(request)
        ids = self._tokens(prompt + request.text, name)
        other = self._tokens(request.pair, name) if request.pair else None
        if other is not None and (self._frame.pair is None or info.task is Task.EMBED):
            raise InputError(name, "is a pair of texts; this model takes single ones")
        hidden = len(self._codec.encode(prompt, special_tokens=False)) if prompt and not info.rules.pool_prompt else 0
        row, cut = self._frame.around(
            ids, info.max_tokens, other=other, prompt_tokens=hidden, cut_left=info.rules.cut_left
        )
        if cut and not request.truncate:
            raise InputError(
                name, f"has {len(row) + cut} tokens; the model holds {info.max_tokens}: shorten it, or set truncate"
            )
        highest = max(row.ids)
        if info.vocab_size is not None and highest >= info.vocab_size:
            raise InputError(
                name,
                f"holds token {highest}, and the model has {info.vocab_size}: its tokenizer is of another model",
            )
        return row, cut

    def _prompt(self, request: TextRequest) -> str:
        rules = self._info.rules
        wanted = request.prompt_name or rules.default_prompt
        if not wanted:
            return ""
        if wanted not in rules.prompts:
            there = f"those are {', '.join(rules.prompts)}" if rules.prompts else "it has none"
            raise InputError("prompt_name", f"is {wanted!r}, which is not a prompt of this model; {there}")
        return rules.prompts[wanted]

    def _tokens(self, text: str, name: str) -> list[int]:
        rules = self._info.rules
        text = text.strip() if rules.strip else text
        ids = self._codec.encode(text.lower() if rules.lower_case else text, special_tokens=False)
        if not ids:
            raise InputError(name, "has no tokens for this model's tokenizer; give it other text")
        return ids

    def _sample(self, tokens: int) -> Row:
        """Return a row of ``tokens``, special ones included, or of as many as the model holds."""
        ids = self._tokens(SAMPLE, "the sample")
        return self._frame.around(sample_ids(ids, tokens), min(tokens, self._info.max_tokens))[0]

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


_CONSEQUENCES = {
    Padding.LEFT: "texts of a batch are padded before their tokens",
    Padding.NONE: "only texts with the same number of tokens share a batch",
    Padding.ALONE: "each text is computed alone",
}


class _EncoderThread(RequestThread[_QueuedText]):
    """Forms batches of the queued texts and computes them.

    Attributes:
        cost: of a batch; batches are planned by it.
        padding: how texts share a batch; ``None`` until ``prepare`` has found it out.
        limits: of a batch, with what the padding demands.
    """

    def __init__(self, network: Network, info: EncoderInfo, sample: Callable[[int], Row]) -> None:
        super().__init__("pilotlight-encoder")
        self.cost = info.cost
        self.padding = info.padding
        self._network = network
        self._info = info
        self.limits = info.limits
        self._sample = sample
        self._batch: list[_QueuedText] = []  # only the thread uses it

    def prepare(self) -> None:
        if self.padding is None:
            self.padding = self._find_padding()
        if self.padding in (Padding.NONE, Padding.ALONE):
            self.limits = replace(self.limits, equal_lengths=True)
        if self.padding is Padding.ALONE:
            self.limits = replace(self.limits, max_rows=1)
        if self.cost == Cost(0.0, 0.0):
            self.cost = measure(self._network, self._sample, max_rows=self.limits.max_rows)

    def _find_padding(self) -> Padding:
        """Check the model against itself; one log line says where its texts cannot share a batch as usual."""
        special = len(self._sample(0))
        info = self._info
        rows = [self._sample(special + tokens) for tokens in LENGTHS]
        try:
            found = check_padding(self._network, rows, tolerance_of(info.dtype))
        except WeightsError as error:
            raise WeightsError(f"{info.model}: {error}") from error
        if info.task is Task.CLASSIFY and found.numbers != len(info.labels):
            raise WeightsError(f"{info.model} gives {found.numbers} numbers for its {len(info.labels)} labels")
        if found.padding is not Padding.RIGHT:
            log.warning("%s: %s; %s", info.model, found.why, _CONSEQUENCES[found.padding])
        return found.padding

    def due_s(self) -> float | None:
        self.waiting = [one for one in self.waiting if not self.gone(one)]
        if not self.waiting:
            return None
        oldest_s = time.monotonic() - self.waiting[0].since_s
        return wait_s(len(self.waiting), oldest_s, self.cost, self.limits)

    def step(self) -> None:
        with self.changed:
            lengths = [len(one.row) for one in self.waiting]
            chosen = set(next_batch(lengths, self.cost, self.limits)) if lengths else set()
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
        values = self._network.compute(rows, pad_left=self.padding is Padding.LEFT)
        if len(values) != len(rows):
            raise EngineError(f"{len(values)} results for {len(rows)} texts: this is a bug")
        return values


def measure(network: Network, sample: Callable[[int], Row], *, max_rows: int) -> Cost:
    """Measure the cost of a batch, after a first one that is not counted.

    Args:
        network: of the model.
        sample: returns a row of about so many tokens.
        max_rows: of a batch.
    """
    samples = []
    for most, longest in (SHAPES[0], *SHAPES):
        row, rows = sample(longest), min(most, max_rows)
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            network.compute([row] * rows)
            times.append(time.perf_counter() - started)
        samples.append((rows * len(row), max(min(times), 1e-7)))
    return fit(samples[1:])

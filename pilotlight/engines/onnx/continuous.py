"""Continuous batching in the rows of an ``OnnxModel``: all requests advance together, token by token."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.engines.memory.admission import Admission
from pilotlight.engines.onnx.cache_plan import OnnxCachePlan
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.text.embedded import require_embedded
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.sampling import SamplingState
from pilotlight.engines.text.sampling_numpy import NumpySampler
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.tracing import stage

__all__ = ["OnnxBackend"]


@dataclass(slots=True)
class _Slot:
    """A request and what the model has read of it.

    Attributes:
        sampler: of this request.
        unread: tokens that the model has not read: the rest of the prompt, later the token chosen last.
        read: tokens that it has read.
    """

    generation: Generation
    sampler: NumpySampler
    unread: list[int]
    read: int = 0


class OnnxBackend(ThreadedBackend):
    """A model and the thread that runs it.

    Args:
        model: loaded; nothing else runs it.
        planned: of the cache.
        one_by_one: compute the rows of a step one after the other: the order of additions in a row then does not depend
            on how many there are.
    """

    def __init__(self, model: OnnxModel, planned: OnnxCachePlan, *, one_by_one: bool = False) -> None:
        super().__init__("pilotlight-onnx", waits_for_readers=True)
        self._model = model
        self._planned = planned
        self._one_by_one = one_by_one
        plan = planned.reservation.plan
        self._admission = Admission(planned.layout, plan.units, plan.slots)
        self.slots = plan.slots
        self.context_tokens = plan.context_tokens
        self.cache_bytes = plan.cache_bytes
        # Rows that have held texts keep their memory, which the others may need.
        self._scarce = plan.units < plan.slots * planned.layout.units(plan.context_tokens)
        with stage("device"):
            model.reserve(self.slots, self.context_tokens)
            model.run(0, [[0]], [1])  # an error shows in set-up
        self._rows: list[_Slot | None] = [None] * self.slots  # only the thread uses it
        self.start()

    def check(self, generation: Generation) -> None:
        require_embedded(generation, self._model.vocab_size)

    def busy(self) -> bool:
        return any(self._rows)

    def advance(self) -> None:
        self._drop_ended()
        self._admit()
        self._read_piece()
        self._decode()

    def close(self) -> None:
        super().close()
        self._planned.reservation.release()

    def running(self) -> list[Generation]:
        return [slot.generation for slot in self._rows if slot is not None]

    def _drop_ended(self) -> None:
        """Free the rows of requests that have ended, and close the gaps: a step computes every row up to the last."""
        kept = [(row, slot) for row, slot in enumerate(self._rows) if slot and not slot.generation.ended]
        slots: list[_Slot | None] = [None] * self.slots
        for row, slot in kept:
            if row < len(kept):
                slots[row] = slot
        gaps = (row for row in range(len(kept)) if slots[row] is None)
        for row, slot in kept[::-1]:
            if row >= len(kept):
                gap = next(gaps)
                self._model.move(row, gap, slot.read)
                slots[gap] = slot
        if self._scarce:
            for row, before in enumerate(self._rows):
                if before is not None and slots[row] is None:
                    self._model.clear(row)
        self._rows = slots

    def _admit(self) -> None:
        free = [row for row in range(self.slots) if self._rows[row] is None]
        for row, generation in zip(free, self.take_admitted(self._admission), strict=False):
            state = SamplingState(generation.request.sampling, generation.prompt_ids, generation.eos_ids)
            self._rows[row] = _Slot(generation, NumpySampler(state), list(generation.prompt_ids))

    def _read_piece(self) -> None:
        """Read a piece of the first unread prompt; a prompt with a single token left is read by ``_decode``."""
        for row, slot in enumerate(self._rows):
            if slot is not None and len(slot.unread) > 1:
                size = self._planned.piece_tokens
                piece, slot.unread = slot.unread[:size], slot.unread[size:]
                slot.read += len(piece)
                scores = self._model.run(row, [piece], [slot.read])
                if not slot.unread:
                    _push(slot, slot.sampler.choose(scores[0]))
                return

    def _decode(self) -> None:
        """Compute a token for every request whose prompt has been read."""
        inside = [slot for slot in self._rows if slot is not None]
        ready = [len(slot.unread) == 1 and not slot.generation.ended for slot in inside]
        if not any(ready):
            return
        if self._one_by_one:
            for row, slot in enumerate(inside):
                if ready[row]:
                    slot.read += 1
                    _push(slot, slot.sampler.choose(self._model.run(row, [slot.unread], [slot.read])[0]))
            return
        # The other rows are computed too. What that writes lies behind their text and is overwritten later.
        ids = [slot.unread if one else [0] for slot, one in zip(inside, ready, strict=True)]
        scores = self._model.run(0, ids, [slot.read + 1 for slot in inside])
        for row, slot in enumerate(inside):
            if ready[row]:
                slot.read += 1
                _push(slot, slot.sampler.choose(scores[row]))


def _push(slot: _Slot, token: int) -> None:
    slot.unread = [token]
    try:
        slot.generation.push(token)
    except Exception as error:  # noqa: BLE001 - an error in one request's text must not fail the others
        slot.generation.fail(error)

"""All requests together, token by token, in the rows of an ``OnnxModel``."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.text.cache_memory import CACHE_SHARE, free_memory_bytes
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.sampling_numpy import Sampler
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.errors import InputError
from pilotlight.tracing import stage

__all__ = ["OnnxBackend"]

# A longer prompt is taken in pieces of so many tokens, so that the others wait for a piece only.
PIECE_TOKENS = 256


@dataclass(slots=True)
class _Place:
    """A request in its row.

    Attributes:
        sampler: of this request.
        todo: tokens that the model has not taken in: what is left of the prompt, later the token chosen last.
        taken: tokens that it has.
    """

    generation: Generation
    sampler: Sampler
    todo: list[int]
    taken: int = 0


class OnnxBackend(ThreadedBackend):
    """A model and the thread that steps it.

    Args:
        model: loaded; nobody else runs it.
        context_tokens: prompt and output together, at most; less where memory is short.
        slots: requests that advance together, at most.
    """

    def __init__(self, model: OnnxModel, *, context_tokens: int, slots: int) -> None:
        super().__init__("pilotlight-onnx")
        self._model = model
        self.slots = slots
        affordable = int(CACHE_SHARE * free_memory_bytes()) // (model.token_bytes * slots)
        self.context_tokens = max(2, min(context_tokens, affordable))
        self.cache_bytes = slots * self.context_tokens * model.token_bytes
        with stage("device"):
            model.reserve(slots, self.context_tokens)
            model.run(0, [[0]], [1])  # what cannot work fails in set-up
        self._rows: list[_Place | None] = [None] * slots  # only the thread touches it
        self.begin()

    def refuse_unfit(self, generation: Generation) -> None:
        if max(generation.prompt_ids) >= self._model.vocab_size:
            raise InputError(generation.request.prompt_input, "holds a token that this model has no embedding for")

    # The thread's side

    def busy(self) -> bool:
        return any(self._rows)

    def advance(self) -> None:
        self._let_go()
        self._let_in()
        self._read_piece()
        self._step()

    def inside(self) -> list[Generation]:
        return [place.generation for place in self._rows if place is not None]

    def _let_go(self) -> None:
        """Free the rows of those who have ended, and close the gaps: a step computes every row up to the last."""
        kept = [(row, place) for row, place in enumerate(self._rows) if place and not place.generation.ended]
        places: list[_Place | None] = [None] * self.slots
        for row, place in kept:
            if row < len(kept):
                places[row] = place
        gaps = (row for row in range(len(kept)) if places[row] is None)
        for row, place in kept[::-1]:
            if row >= len(kept):
                gap = next(gaps)
                self._model.move(row, gap, place.taken)
                places[gap] = place
        self._rows = places

    def _let_in(self) -> None:
        free = [row for row in range(self.slots) if self._rows[row] is None]
        for row, generation in zip(free, self.take(len(free)), strict=False):
            rules, prompt = generation.request.sampling, generation.prompt_ids
            self._rows[row] = _Place(generation, Sampler(rules, prompt, generation.eos_ids), list(prompt))

    def _read_piece(self) -> None:
        """Take in a piece of the first unread prompt; one that has a single token left is read by a step."""
        for row, place in enumerate(self._rows):
            if place is not None and len(place.todo) > 1:
                piece, place.todo = place.todo[:PIECE_TOKENS], place.todo[PIECE_TOKENS:]
                place.taken += len(piece)
                scores = self._model.run(row, [piece], [place.taken])
                if not place.todo:
                    _push(place, place.sampler.choose(scores[0]))
                return

    def _step(self) -> None:
        """A token for everybody whose prompt has been read."""
        inside = [place for place in self._rows if place is not None]
        ready = [len(place.todo) == 1 and not place.generation.ended for place in inside]
        if not any(ready):
            return
        # The others' rows are computed too. What is written there lies behind their text, where it is overwritten.
        ids = [place.todo if one else [0] for place, one in zip(inside, ready, strict=True)]
        scores = self._model.run(0, ids, [place.taken + 1 for place in inside])
        for row, place in enumerate(inside):
            if ready[row]:
                place.taken += 1
                _push(place, place.sampler.choose(scores[row]))


def _push(place: _Place, token: int) -> None:
    place.todo = [token]
    try:
        place.generation.push(token)
    except Exception as error:  # noqa: BLE001 - what fails one request on this thread must not fail them all
        place.generation.fail(error)

"""All requests together, token by token, in the rows of an ``OnnxModel``."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pilotlight.engines.generation import Generation
from pilotlight.engines.memory import CACHE_SHARE, free_memory_bytes
from pilotlight.engines.numpy_sampling import Sampler
from pilotlight.engines.onnx_model import OnnxModel
from pilotlight.errors import EngineError, EngineStoppedError, InputError
from pilotlight.stamps import stage

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


class OnnxBackend:
    """A model and the thread that steps it.

    Args:
        model: loaded; nobody else runs it.
        context_tokens: prompt and output together, at most; less where memory is short.
        slots: requests that advance together, at most.
    """

    def __init__(self, model: OnnxModel, *, context_tokens: int, slots: int) -> None:
        self._model = model
        self.slots = slots
        affordable = int(CACHE_SHARE * free_memory_bytes()) // (model.token_bytes * slots)
        self.context_tokens = max(2, min(context_tokens, affordable))
        self.cache_bytes = slots * self.context_tokens * model.token_bytes
        with stage("device"):
            model.reserve(slots, self.context_tokens)
            model.run(0, [[0]], [1])  # what cannot work fails in set-up
        self._rows: list[_Place | None] = [None] * slots  # only the thread touches it
        self._arrived: list[Generation] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pilotlight-onnx", daemon=True)
        self._thread.start()

    def add(self, generation: Generation) -> None:
        if max(generation.prompt_ids) >= self._model.vocab_size:
            raise InputError(generation.request.prompt_input, "holds a token that this model has no embedding for")
        with self._changed:
            if self._closed:
                raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
            self._arrived.append(generation)
            self._changed.notify()

    def cancel(self, generation: Generation) -> None:
        """Nothing to do: the thread lets go of ended generations before its next step."""

    def alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10.0)

    # The thread's side

    def _run(self) -> None:
        try:
            while self._wait():
                self._let_go()
                self._let_in()
                self._read_piece()
                self._step()
        except Exception as error:  # noqa: BLE001 - the runtime failed under all of them: everybody inside is told
            self._end(EngineError(f"the engine died: {error}"))
        else:
            self._end(EngineStoppedError("the engine was closed while this request ran; send it again"))

    def _wait(self) -> bool:
        """Wait for something to do; ``False`` once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._arrived or any(self._rows))
            return not self._closed

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
        for row in range(self.slots):
            while self._rows[row] is None:
                with self._changed:
                    if not self._arrived:
                        return
                    generation = self._arrived.pop(0)
                if not generation.ended:
                    rules, prompt = generation.request.sampling, generation.prompt_ids
                    sampler = Sampler(rules, prompt, generation.eos_ids)
                    self._rows[row] = _Place(generation, sampler, list(prompt))

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

    def _end(self, error: EngineError) -> None:
        with self._changed:
            self._closed = True
            arrived, self._arrived = self._arrived, []
        for generation in [*arrived, *(place.generation for place in self._rows if place is not None)]:
            generation.fail(error)


def _push(place: _Place, token: int) -> None:
    place.todo = [token]
    try:
        place.generation.push(token)
    except Exception as error:  # noqa: BLE001 - what fails one request on this thread must not fail them all
        place.generation.fail(error)

"""A back end and its fallback, over ones that only remember."""

from __future__ import annotations

import pytest

from pilotlight.engines.text.fake import CharacterCodec
from pilotlight.engines.text.fallback import FallbackBackend
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.errors import EngineStoppedError


class Hand:
    """A backend that only remembers."""

    slots = 2
    context_tokens = 100

    def __init__(self, cache_bytes: int) -> None:
        self.cache_bytes = cache_bytes
        self.inside: list[Generation] = []
        self.closed = False

    def add(self, generation: Generation) -> None:
        if self.closed:
            raise EngineStoppedError("closed")
        self.inside.append(generation)

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True


def generation(prompt: str) -> Generation:
    request = GenerationRequest(prompt, Sampling())
    return Generation(request, [1], CharacterCodec(), max_tokens=9, eos_ids=(0,), on_end=lambda generation: None)


class Pair:
    """A back end and its fallback for requests with the prompt ``apart``."""

    def __init__(self) -> None:
        self.batching = Hand(100)
        self.opened: list[Hand] = []
        self.backend = FallbackBackend(self.batching, lambda one: one.request.prompt == "apart", self.open)

    def open(self) -> Hand:
        self.opened.append(Hand(7))
        return self.opened[-1]


def test_each_goes_where_it_belongs_and_the_other_backend_is_opened_when_it_is_needed() -> None:
    pair = Pair()
    plain, first, second = generation("plain"), generation("apart"), generation("apart")
    pair.backend.add(plain)
    assert (pair.opened, pair.backend.cache_bytes) == ([], 100)
    pair.backend.add(first)
    pair.backend.add(second)
    (apart,) = pair.opened
    assert (pair.batching.inside, apart.inside) == ([plain], [first, second])
    assert (pair.backend.cache_bytes, pair.backend.slots, pair.backend.context_tokens) == (107, 2, 100)


def test_it_is_alive_while_both_are() -> None:
    pair = Pair()
    assert pair.backend.alive()
    pair.backend.add(generation("apart"))
    assert pair.backend.alive()
    pair.opened[0].close()
    assert not pair.backend.alive()


@pytest.mark.parametrize("opened", [False, True])
def test_closing_closes_both_and_opens_nothing(opened: bool) -> None:
    pair = Pair()
    if opened:
        pair.backend.add(generation("apart"))
    pair.backend.close()
    assert not pair.backend.alive()
    for prompt in ("plain", "apart"):
        with pytest.raises(EngineStoppedError):
            pair.backend.add(generation(prompt))
    assert [hand.closed for hand in pair.opened] == [True] * opened

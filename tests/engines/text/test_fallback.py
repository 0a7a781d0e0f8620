"""Two backends side by side, over ones that do what the test says."""

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
        self.canceled: list[Generation] = []
        self.closed = False

    def add(self, generation: Generation) -> None:
        if self.closed:
            raise EngineStoppedError("closed")
        self.inside.append(generation)

    def cancel(self, generation: Generation) -> None:
        self.canceled.append(generation)

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True


def generation(prompt: str) -> Generation:
    request = GenerationRequest(prompt, Sampling())
    return Generation(
        request, [1], CharacterCodec(), max_tokens=9, eos_ids=(0,), on_end=lambda generation, reason: None
    )


class Split:
    """A split backend whose requests with the prompt ``apart`` are apart."""

    def __init__(self) -> None:
        self.batching = Hand(100)
        self.opened: list[Hand] = []
        self.backend = FallbackBackend(self.batching, lambda one: one.request.prompt == "apart", self.open)

    def open(self) -> Hand:
        self.opened.append(Hand(7))
        return self.opened[-1]


def test_each_goes_where_it_belongs_and_the_other_backend_is_opened_when_it_is_needed() -> None:
    split = Split()
    plain, first, second = generation("plain"), generation("apart"), generation("apart")
    split.backend.add(plain)
    assert (split.opened, split.backend.cache_bytes) == ([], 100)
    split.backend.add(first)
    split.backend.add(second)
    (apart,) = split.opened
    assert (split.batching.inside, apart.inside) == ([plain], [first, second])
    assert (split.backend.cache_bytes, split.backend.slots, split.backend.context_tokens) == (107, 2, 100)
    for one in (plain, second):
        split.backend.cancel(one)
    assert (split.batching.canceled, apart.canceled) == ([plain], [second])


def test_it_is_alive_while_both_are() -> None:
    split = Split()
    assert split.backend.alive()
    split.backend.add(generation("apart"))
    assert split.backend.alive()
    split.opened[0].close()
    assert not split.backend.alive()


@pytest.mark.parametrize("opened", [False, True])
def test_closing_closes_both_and_opens_nothing(opened: bool) -> None:
    split = Split()
    if opened:
        split.backend.add(generation("apart"))
    split.backend.close()
    assert not split.backend.alive()
    for prompt in ("plain", "apart"):
        with pytest.raises(EngineStoppedError):
            split.backend.add(generation(prompt))
    assert [hand.closed for hand in split.opened] == [True] * opened

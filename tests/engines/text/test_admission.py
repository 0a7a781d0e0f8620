"""A request that this machine's memory can never hold is refused with the figures; the model's context only clips."""

from __future__ import annotations

import pytest

from pilotlight.engines.text.admission import output_limit
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.errors import InputError


def asking(max_tokens: int) -> GenerationRequest:
    return GenerationRequest("p", Sampling(max_tokens=max_tokens))


def test_the_models_context_clips_the_output() -> None:
    assert output_limit(asking(50), 100, 1000) == 50
    assert output_limit(asking(5000), 100, 1000) == 900


def test_what_memory_never_holds_is_refused() -> None:
    assert output_limit(asking(900), 100, 1000, 8000) == 900
    with pytest.raises(InputError) as refused:
        output_limit(asking(901), 100, 1000, 8000)
    for part in ("max_tokens: asks for 901 tokens", "prompt of 100", "holds 1000", "model's 8000", "ask for 900"):
        assert part in str(refused.value)
    with pytest.raises(InputError, match="asks for 7900 tokens"):
        output_limit(asking(10**6), 100, 1000, 8000)

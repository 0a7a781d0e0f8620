"""Compares what the back ends compute with plain forward passes of the same model, before anything is served.

transformers' paged attention leaves out what some models need (a softcap, a state beside the cache, another scale), and
nothing in its interfaces says which. Two short samples of random tokens show it: one forward pass over a whole sample,
without any cache, gives the logits that a back end has to give step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pilotlight.engines.torch.check.check_records import AS_ASKED, CheckResult
from pilotlight.engines.torch.check.probes import batched_logits, serial_logits
from pilotlight.engines.torch.check.samples import (
    Sample,
    compare,
    compare_generate,
    in_float32,
    make_samples,
    plain_logits,
)
from pilotlight.engines.torch.continuous import UnsupportedModelError, require_paged_attention
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.request_costs import MACHINE_ERRORS
from pilotlight.errors import WeightsError

__all__ = ["check_model"]


@torch.inference_mode()
def check_model(loaded: Loaded, folder: Path, *, serial: bool = False) -> CheckResult:
    """Compare continuous batching with plain forward passes, and ``generate`` where batching differs.

    Args:
        loaded: the model.
        folder: that it came from, for messages.
        serial: compare ``generate`` only.

    Raises:
        WeightsError: neither of them computes what the model does, or a plain forward pass fails.
    """
    model = loaded.model
    samples = make_samples(model, loaded.context_tokens)
    with in_float32(model) as dtype:
        try:
            # The short sample is the beginning of the long one: one pass has the logits of both.
            references = plain_logits(model, samples[0].ids, [len(sample.ids) for sample in samples])
        except MACHINE_ERRORS:
            raise
        except Exception as error:
            raise WeightsError(
                f"{folder}: a forward pass of its {type(model).__name__} fails: {_line(error)}"
            ) from error
        if any(bool(one.isnan().any()) for one in references):
            raise WeightsError(
                f"{folder}: its {type(model).__name__} gives values that are not numbers in {str(dtype)[6:]}; "
                "set PILOTLIGHT_DTYPE=float32, or fetch the weights again"
            )
        reason = AS_ASKED if serial else _batched_difference(model, samples, references, dtype)
        if not reason:
            return CheckResult(True)
        if against := _generate_difference(model, samples, references, dtype):
            raise WeightsError(
                f"{folder}: transformers' generate does not compute what its {type(model).__name__} does: {against}"
            )
    return CheckResult(False, reason)


def _batched_difference(
    model: Any, samples: Sequence[Sample], references: Sequence[torch.Tensor], dtype: torch.dtype
) -> str:
    """Return how continuous batching differs from ``references``, or why it fails; empty where it is the same."""
    try:
        require_paged_attention(model)
        found = batched_logits(model, samples)
    except MACHINE_ERRORS:
        raise
    except UnsupportedModelError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, continuous batching cannot serve the model
        return f"{type(model).__name__} fails in continuous batching: {_line(error)}"
    differences = (compare(*pair, dtype) for pair in zip(references, found, strict=True))
    return next((f"in continuous batching {one}" for one in differences if one), "")


def _generate_difference(
    model: Any, samples: Sequence[Sample], references: Sequence[torch.Tensor], dtype: torch.dtype
) -> str:
    """Return how ``generate`` differs from plain passes, or why it fails; empty where it is the same."""
    try:
        found = serial_logits(model, samples)
        prompts = [plain_logits(model, one.prompt, [len(one.prompt)], 1)[0] for one in samples]
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, generate cannot serve the model
        return f"it fails with {_line(error)}"
    differences = (compare_generate(*three, dtype) for three in zip(prompts, references, found, strict=True))
    return next((one for one in differences if one), "")


def _line(error: Exception) -> str:
    """Return an error's first line, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

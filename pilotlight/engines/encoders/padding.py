"""Pads rows to a batch, and finds out at the start how texts can share one without changing each other's numbers.

Most models take padding after a text and a mask, and give the numbers that they give for the text alone. Some do not:
a convolution over the tokens, a Fourier transform or landmarks read the padding (ConvBERT, MobileBERT, FNet,
Nystromformer), others take their answer from the last place of a row (XLNet). A list of them would never be complete,
so the model itself is asked: texts of several lengths, each alone and together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from pilotlight.engines.encoders.types import Network, Padding, Row, Rows
from pilotlight.errors import WeightsError

__all__ = ["Padded", "PaddingCheck", "check_padding", "pad", "tolerance_of"]

# By how much a text's numbers may differ between batches, as a share of the largest one: what the arithmetic of a
# precision makes of another order of sums, with a margin. Seen with sound models: 2e-6 in fp32, 2e-2 in bf16 and int8.
# OpenVINO computes every artifact but fp32 in bf16 where the processor is fast at it.
TOLERANCES = {"float32": 1e-4, "fp32": 1e-4, "float16": 1e-2}
COARSE = 5e-2
# How many of the text's tokens each row of the check has. Funnel halves a row twice, and reads padding in some of the
# lengths only: these leave the remainders 0 to 3 by 4, however many special tokens there are.
LENGTHS = (4, 7, 13, 26)


@dataclass(frozen=True, slots=True)
class Padded:
    """Rows of one length, as nested lists.

    Attributes:
        ids: token ids.
        mask: 1 for a token, 0 for padding.
        types: token types.
        pooled: the mask without the tokens of prompts that do not count.
        first: the place at which ``pooled`` begins in each row.
        last: the place of its last token.
    """

    ids: list[list[int]]
    mask: list[list[int]]
    types: list[list[int]]
    pooled: list[list[int]]
    first: list[int]
    last: list[int]


@dataclass(frozen=True, slots=True)
class PaddingCheck:
    """How texts share a batch of this model.

    Attributes:
        padding: the first way that leaves their numbers as they are alone.
        numbers: that the model gives for a text.
        why: what was wrong with the usual way, for the log; empty where nothing was.
    """

    padding: Padding
    numbers: int
    why: str = ""


def pad(rows: Rows, pad_id: int, *, left: bool = False) -> Padded:
    """Pad rows to the longest of them."""
    longest = max(map(len, rows))
    padded = Padded([], [], [], [], [], [])
    for row in rows:
        fill = [0] * (longest - len(row))
        hidden = min(row.prompt_tokens, len(row) - 1)  # something is left to pool
        ones, types = [1] * len(row), list(row.types) or [0] * len(row)
        pooled = [0] * hidden + [1] * (len(row) - hidden)
        start = len(fill) if left else 0
        pads = [pad_id] * len(fill)
        for place, values, filling in (
            (padded.ids, list(row.ids), pads),
            (padded.mask, ones, fill),
            (padded.types, types, fill),
            (padded.pooled, pooled, fill),
        ):
            place.append(filling + values if left else values + filling)
        padded.first.append(start + hidden)
        padded.last.append(start + len(row) - 1)
    return padded


def tolerance_of(dtype: str) -> float:
    """Return by how much numbers of this precision may differ, as a share of the largest one."""
    return TOLERANCES.get(dtype, COARSE)


def sample_ids(ids: Sequence[int], count: int) -> list[int]:
    """Return ``count`` tokens: those of a text, over and over."""
    return list(islice(cycle(ids), count))


def check_padding(network: Network, rows: Rows, tolerance: float) -> PaddingCheck:
    """Find the first way to batch that leaves every row's numbers as they are alone.

    Args:
        network: of the model.
        rows: of several lengths, with the special tokens that the model expects.
        tolerance: as of ``tolerance_of``.

    Raises:
        WeightsError: the network cannot compute a single row.
    """
    try:
        alone = [network.compute([row])[0] for row in rows]
    except Exception as error:
        raise WeightsError(
            f"the model cannot compute a text from its tokens alone ({type(error).__name__}: {error}); an architecture "
            "that needs other inputs is not served"
        ) from error
    numbers = len(alone[0])
    reasons: list[str] = []
    ways = {
        Padding.RIGHT: "with padding after it, a text's numbers",
        Padding.LEFT: "with padding before it, they",
    }
    for padding, words in ways.items():
        problem = _problem(network, rows, alone, tolerance, pad_left=padding is Padding.LEFT)
        if not problem:
            return PaddingCheck(padding, numbers, "; ".join(reasons))
        reasons.append(f"{words} {problem}")
    longest = max(range(len(rows)), key=lambda i: len(rows[i]))
    pair = [rows[longest], Row(rows[longest].ids, rows[longest].types)]
    problem = _problem(network, pair, [alone[longest]] * 2, tolerance, pad_left=False)
    if not problem:
        return PaddingCheck(Padding.NONE, numbers, "; ".join(reasons))
    return PaddingCheck(
        Padding.ALONE, numbers, "; ".join([*reasons, f"beside a text of the same length they {problem}"])
    )


def _problem(
    network: Network, rows: Rows, alone: Sequence[Sequence[float]], tolerance: float, *, pad_left: bool
) -> str:
    """Return what is wrong with the numbers of a batch, in words; empty where nothing is."""
    try:
        together = network.compute(rows, pad_left=pad_left)
    except Exception as error:  # noqa: BLE001 - another way may do
        return f"cannot be computed ({type(error).__name__}: {error})"
    scale = max((abs(value) for row in alone for value in row), default=0.0) or 1.0
    pairs = [(a, b) for one, other in zip(alone, together, strict=True) for a, b in zip(one, other, strict=True)]
    difference = max((abs(a - b) / scale for a, b in pairs), default=0.0)
    return "" if difference <= tolerance and not math.isnan(difference) else f"differ by {difference:.1%}"

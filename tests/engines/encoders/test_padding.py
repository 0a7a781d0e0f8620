"""Padded rows, and the check that finds out how a model's texts can share a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pilotlight.engines.encoders.padding import check_padding, pad, tolerance_of
from pilotlight.engines.encoders.types import Padding, Row, Rows
from pilotlight.errors import WeightsError

ROWS = [Row([5]), Row([5, 6, 7]), Row([5, 6, 7, 8, 9])]
Compute = Callable[[list[int], int, int], float]  # a padded row, where its text begins, and its length


class Network:
    """Computes each row of a batch by a function of the padded row."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        padded = pad(rows, 1, left=pad_left)
        return [
            [10 + self._compute(ids, last + 1 - len(row), len(row))]
            for ids, last, row in zip(padded.ids, padded.last, rows, strict=True)
        ]


def test_rows_are_padded_on_either_side() -> None:
    rows = [Row([5, 6], [0, 1], prompt_tokens=1), Row([7, 8, 9])]
    right, left = pad(rows, 1), pad(rows, 1, left=True)
    assert (right.ids, left.ids) == ([[5, 6, 1], [7, 8, 9]], [[1, 5, 6], [7, 8, 9]])
    assert (right.mask, left.mask) == ([[1, 1, 0], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]])
    assert (right.types, left.types) == ([[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 0]])
    assert (right.pooled, left.pooled) == ([[0, 1, 0], [1, 1, 1]], [[0, 0, 1], [1, 1, 1]])
    assert (right.first, right.last, left.first, left.last) == ([1, 0], [1, 2], [2, 0], [2, 2])


def test_a_prompt_that_is_the_whole_row_leaves_its_last_token() -> None:
    assert pad([Row([5, 6], prompt_tokens=7)], 0).pooled == [[0, 1]]


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda ids, start, size: sum(ids[start : start + size]), Padding.RIGHT),
        (lambda ids, start, size: ids[-1], Padding.LEFT),
        (lambda ids, start, size: ids[0] * start + ids[size - 1], Padding.RIGHT),
        (lambda ids, start, size: sum(ids), Padding.NONE),
        (lambda ids, start, size: float("nan") if len(ids) > size else 1.0, Padding.NONE),
    ],
)
def test_the_first_way_that_changes_nothing_is_found(compute: Compute, expected: Padding) -> None:
    found = check_padding(Network(compute), ROWS, tolerance_of("float32"))
    assert (found.padding, found.numbers) == (expected, 1)
    assert bool(found.why) is (expected is not Padding.RIGHT)


def test_a_model_whose_rows_affect_each_other_computes_each_alone() -> None:
    class Sharing(Network):
        def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
            return [[1.0 + len(rows)] for _ in rows]

    found = check_padding(Sharing(lambda ids, start, size: 0.0), ROWS, 1e-4)
    assert found.padding is Padding.ALONE
    assert "beside a text of the same length they differ by" in found.why


def test_a_batch_that_cannot_be_computed_is_avoided_and_a_text_that_cannot_is_refused() -> None:
    class Single(Network):
        def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
            if len(rows) > 1:
                raise ValueError("cannot handle batches")
            return super().compute(rows)

    found = check_padding(Single(lambda ids, start, size: size), ROWS, 1e-4)
    assert found.padding is Padding.ALONE
    assert "cannot be computed (ValueError: cannot handle batches)" in found.why

    def fail(ids: list[int], start: int, size: int) -> float:
        raise KeyError("pixel_values")

    with pytest.raises(WeightsError, match=r"cannot compute a text from its tokens alone \(KeyError: 'pixel_values'\)"):
        check_padding(Network(fail), ROWS, 1e-4)


def test_a_difference_within_the_precision_s_noise_is_none() -> None:
    def noisy(ids: list[int], start: int, size: int) -> float:
        return 0.001 * len(ids)

    assert check_padding(Network(noisy), ROWS, tolerance_of("bfloat16")).padding is Padding.RIGHT
    assert check_padding(Network(noisy), ROWS, tolerance_of("float32")).padding is Padding.NONE

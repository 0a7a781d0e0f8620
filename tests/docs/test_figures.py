"""Figures in the README are those of the file that it names."""

from __future__ import annotations

import json
import re
from statistics import median

import pytest

from pilotlight.bench.systems.goals import values
from pilotlight.bench.systems.render import figures_of
from pilotlight.bench.systems.results import ComparisonResult
from tests.paths import ROOT

COLUMNS = ("plain", "torch bf16", "fast")


def rows(text: str) -> list[list[float]]:
    """The numbers of the table, without its first column and its head."""
    table = [line for line in text.splitlines() if re.match(r"\| .*(`exec`|streams?)", line) and "---" not in line]
    return [[float(re.sub(r"[^\d.]", "", cell)) for cell in line.split("|")[2:5]] for line in table]


def measured(file: str, figures: int) -> list[list[float]]:
    """The medians of the first figures of a result."""
    result = ComparisonResult.model_validate_json((ROOT / file).read_bytes())
    return [[median(values(result, name, figure)) for name in COLUMNS] for figure in figures_of(result)[:figures]]


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("README.md", {"docs/engines-135m.json": 5}),
        ("docs/engines.md", {"docs/engines-135m.json": 5, "docs/engines-smollm2.json": 4}),
    ],
)
def test_the_tables_are_those_of_the_measured_runs(page: str, files: dict[str, int]) -> None:
    shown = rows((ROOT / page).read_text())
    there = [row for file, figures in files.items() for row in measured(file, figures)]
    assert len(shown) == len(there) == sum(files.values())
    for row, expected in zip(shown, there, strict=True):
        assert row == pytest.approx(expected, rel=0.03)


def test_the_predictors_table_is_that_of_the_measured_run() -> None:
    summary = json.loads((ROOT / "docs/streams.json").read_text())["summary"]
    text = (ROOT / "docs/predictor.md").read_text()
    ours, plain = (summary[name]["tokens_per_second"] for name in ("pilotlight", "plain"))
    assert f"| {ours['median']:.0f} ({ours['min']:.0f} to {ours['max']:.0f}) |" in text
    assert f"| {plain['median']:.0f} ({plain['min']:.0f} to {plain['max']:.0f}) |" in text
    assert f"**{ours['median'] / plain['median']:.1f} times the tokens**" in text

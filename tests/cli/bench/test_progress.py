"""What is said while a bench runs."""

import io

from rich.console import Console

from pilotlight.bench.harness.targets import BenchTarget, SeriesStep
from pilotlight.cli.bench.progress import RunProgress
from pilotlight.runtime import Project
from tests.bench.compare.repository import PLANTED

TARGET = BenchTarget("plain", Project.load(PLANTED))


def shown(*, ticks, predictions):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with RunProgress("process", 2, 1, predictions, console=console) as progress:
        for number in (-1, 0, 1):
            progress.announce(SeriesStep(number, TARGET))
            for _ in range(ticks if number >= 0 else 0):
                progress.tick()
    return console.file.getvalue()


def test_a_line_for_each_start_where_there_is_no_terminal(capsys):
    with RunProgress("start", 2, 1) as progress:
        progress.announce(SeriesStep(-1, TARGET))
        progress.announce(SeriesStep(1, TARGET))
        progress.tick()
    assert capsys.readouterr().err.splitlines() == ["plain: start not measured", "plain: start 2 of 2"]


def test_a_bar_that_counts_predictions():
    text = shown(ticks=30, predictions=30)
    assert "plain: process not measured" in text
    assert "30/60" in text
    assert "60/60" in text


def test_a_bar_that_counts_starts():
    text = shown(ticks=0, predictions=0)
    assert [count in text for count in ("0/3", "1/3", "2/3")] == [True] * 3

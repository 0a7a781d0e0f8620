"""The calibration itself: what it finds, that it is repeatable, and that it would notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotlight.bench.calibrate.measure import MAX_RUNS, MIN_RUNS, SERIES, Calibration, CalibrationFigure, calibrate
from pilotlight.bench.calibrate.overhead import OBSERVATION
from pilotlight.bench.calibrate.render import measured
from pilotlight.bench.calibrate.results import CalibrationFile
from pilotlight.errors import UsageError


@pytest.fixture(scope="module")
def found() -> Calibration:
    return calibrate(runs=MIN_RUNS)


def test_every_figure_is_in_its_target(found: Calibration) -> None:
    assert [figure for figure in found.figures if not figure.ok] == []
    assert found.ok
    assert found.sentence.startswith("At most ")


def test_targets_are_those_that_were_promised(found: Calibration) -> None:
    targets = {figure.name.partition(",")[0]: (figure.low, figure.high) for figure in found.figures}
    assert targets == {
        "A/A false positives": (0.0, 0.06),
        "coverage": (0.93, 0.97),
        "warm-up classes right": (0.95, 1.0),
        "timer resolution": (0.0, 1e-5),
        "timer cost": (0.0, 1e-5),
    }
    (classes,) = [figure for figure in found.figures if figure.name == "warm-up classes right"]
    assert classes.trials == SERIES == 400


def test_same_seed_gives_the_same_shares(found: Calibration) -> None:
    steps: list[tuple[int, int]] = []
    again = calibrate(runs=MIN_RUNS, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i + 1, len(found.figures)) for i in range(len(found.figures))]
    one, other = ([figure for figure in each.figures if figure.unit == "share"] for each in (found, again))
    assert one == other


def test_a_figure_outside_its_target_is_named(found: Calibration) -> None:
    first = replace(found.figures[0], value=0.07)
    wrong = replace(found, figures=(first, *found.figures[1:]))
    assert not wrong.ok
    assert wrong.sentence.endswith(f"; outside their targets: {first.name}.")


def test_a_figure_with_an_interval_is_outside_when_all_of_that_is() -> None:
    unsure = CalibrationFigure("x", 0.05, "share", -0.02, 0.02, 6, (0.01, 0.09))
    assert unsure.ok
    assert not replace(unsure, interval=(0.03, 0.09)).ok
    assert not replace(unsure, interval=(-0.09, -0.03)).ok
    assert not replace(unsure, interval=None).ok


def test_what_observation_adds_is_said_where_it_was_measured(found: Calibration) -> None:
    added = CalibrationFigure(OBSERVATION, 0.0041, "share", -0.02, 0.02, 6, (-0.012, 0.02))
    with_it = replace(found, figures=(*found.figures, added))
    assert with_it.sentence == f"{found.sentence} Observing a cold start adds 0.4% to it (-1.2% to 2.0%)."
    assert measured(added) == "0.4% (-1.2% to 2.0%)"
    assert CalibrationFile.of(with_it).calibration() == with_it


@pytest.mark.parametrize("runs", [MIN_RUNS - 1, MAX_RUNS + 1])
def test_runs_are_bounded(runs: int) -> None:
    with pytest.raises(UsageError, match=f"{runs} runs; give 100 to 20000"):
        calibrate(runs=runs)

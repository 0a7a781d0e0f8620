"""The report, from results alone."""

import io

from rich.console import Console

from pilotlight.bench.warm.curve import CHANGE
from pilotlight.bench.warm.render import warm_report
from tests.bench.cold.cold_results import ENVIRONMENT, info
from tests.bench.warm.warm_results import failure, many, process, result, times, unmeasured


def shown(report, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(warm_report(report))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_a_project_that_warms_up():
    text = shown(result(unmeasured(), *many("plain", (1, 0.2), (19, 0.06), (60, 0.02))))
    lines = [line.split() for line in text.splitlines()]
    figures = [line for line in lines if line[:2] in ([str(number), "warm-up"] for number in range(1, 6))]
    assert [line[2] for line in figures] == ["20"] * 5
    curves = [line for line in text.splitlines() if CHANGE in line and "█" in line]
    assert len(curves) == 5
    assert all(len(line.strip().partition(" ")[2].replace(CHANGE, "")) == 40 for line in curves)
    assert "per prediction in the steady state, median of 5 processes; 95% interval" in text
    sentence = text[text.index("All 5 processes") :]
    assert sentence.startswith("All 5 processes warm up in 20 predictions (1.3")
    assert "Cog's own" not in text


def test_a_warm_up_of_one_prediction_is_explained():
    assert "mostly Cog's own" in shown(result(*many("plain", (1, 0.2), (59, 0.02))))
    assert "mostly Cog's own" not in shown(result(*many("plain", (60, 0.02))))


def test_no_steady_state_has_no_figures():
    turns = tuple((14, 0.005 if number % 2 else 0.035) for number in range(5))
    text = shown(result(*many("plain", *turns)))
    assert "no steady state" in text
    assert "All 5 processes never settle" in text
    assert "in the steady state" not in text


def test_projects_are_compared_with_the_first_once_steady():
    processes = [*many("plain", (60, 0.02)), *many("fast", (60, 0.01)), *many("few", (60, 0.01), count=2)]
    text = shown(result(*processes, projects=(info(), info("fast"), info("few"))))
    assert "in the steady state fast takes 0.50" in text
    assert text.count(": faster") == 1
    assert "few compared with plain, steady state: needs at least 4 runs for an interval (have 2)" in text


def test_failures_interruptions_and_a_busy_machine_are_said():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 5.0})
    report = result(
        process(times_s=times((60, 0.02)), steal_share=0.2),
        failure("broken", "prediction_failed", "[bold]boom", times_s=(0.1, 0.1)),
        failure("worse", "setup_failed", "no weights"),
        projects=(info(), info("broken"), info("worse")),
        environment=busy,
        finished=False,
    )
    text = shown(report)
    assert "prediction failed after 2 predictions: [bold]boom" in text
    assert "setup failed: no weights" in text
    assert "interrupted after 3 measured processes" in text
    assert "load 5.0 on 4 cores" in text
    assert "gave up to 20% of the processors to others" in text
    assert "against" not in text


def test_a_spread_that_may_hide_a_pattern_is_said():
    turns = tuple((7, 0.01 if number % 2 else 0.03) for number in range(8))
    assert "spread by up to" in shown(result(process(times_s=times(*turns))))
    assert "spread by up to" not in shown(result(process(times_s=times((60, 0.02)))))


def test_nothing_measured_yet():
    assert "interrupted after 0 measured processes" in shown(result(finished=False))

"""The report, from results alone."""

import io

from rich.console import Console

from pilotlight.bench.cold.render import cold_report
from pilotlight.bench.cold.results import StageSeconds
from tests.bench.cold.cold_results import ENVIRONMENT, GPU, SETTINGS, failure, info, result, start


def shown(report, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(cold_report(report))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def many(project, wall_s):
    return [start(project, number, wall_s * (1 + number / 100)) for number in range(8)]


def test_a_project_its_total_its_stages_and_what_it_used():
    text = shown(result(*many("plain", 2.0)))
    assert "2.070 s cold start, median of 8; 95% interval 2.019 to 2.121 s" in text
    assert "ready after 1.870 s, first output after 1.970 s" in text
    assert "n = 8 allows an interval for p50; p90 needs 29, p95 needs 59, p99 needs 299" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert lines["imports"][1:5] == ["1.570", "s", "76%", "+0.250"]
    assert lines["first_prediction"][1:4] == ["0.250", "s", "12%"]
    assert lines["other"][1:4] == ["0.250", "s", "12%"]
    assert "peak memory 400 MB, 3.0 MB read from disk, 7 major faults, 1.50 s of processor time" in text
    assert "imports, own time of each package: torch 1.035 s" in text
    assert "up to 12% of a cold start is `other`" in text


def test_bars_lie_one_after_the_other_on_one_scale():
    text = shown(result(*many("plain", 2.0), *many("fast", 1.0), projects=(info(), info("fast"))))
    bars = [line[line.index("█") :] for line in text.splitlines() if "█" in line]
    starts = [line.index("█") for line in text.splitlines() if "█" in line]
    assert len(bars) == 6
    assert starts[0] < starts[1] < starts[2]
    assert bars[0].count("█") > 2 * bars[3].count("█")


def test_projects_are_compared_with_the_first():
    text = shown(result(*many("plain", 2.0), *many("fast", 1.0), projects=(info(), info("fast"))))
    assert "fast takes 0.500 times as long as plain (95% interval 0.486 to 0.515)" in text
    assert text.count("faster") == 1


def test_few_starts_give_words_in_place_of_numbers():
    text = shown(result(start(), start("fast"), projects=(info(), info("fast"))))
    assert "median of 1; needs at least 6 runs for an interval (have 1)" in text
    assert "n = 1 allows an interval for no percentile" in text
    assert "fast compared with plain: needs at least" in text


def test_failures_interruptions_and_a_busy_machine_are_said():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 5.0})
    report = result(
        start(steal_share=0.2),
        failure("broken", "setup_failed", "setup of x failed: [bold]no weights"),
        projects=(info(), info("broken")),
        environment=busy,
        finished=False,
    )
    text = shown(report)
    assert "setup failed: setup of x failed: [bold]no weights" in text
    assert "interrupted after 1 measured starts" in text
    assert "load 5.0 on 4 cores" in text
    assert "gave up to 20% of the processors to others" in text
    assert "against" not in text


def test_the_conditions_and_the_gpu_with_the_most_that_was_held_of_it():
    cold = SETTINGS.model_copy(update={"compile_cache": "absent"})
    machine = ENVIRONMENT.model_copy(update={"gpus": (GPU,)})
    starts = [start(measured=False, gpu_peak_bytes=2_500_000_000), start(gpu_peak_bytes=2_000_000_000)]
    text = shown(result(*starts, settings=cold, environment=machine))
    assert "page cache hot, compile caches absent, bytecode present, order by seed 0" in " ".join(text.split())
    assert "8 GiB, Model G, driver 550.1, Linux" in text
    assert "peak GPU memory 2500 MB" in text
    assert "GPU" not in shown(result(start()))


def test_medians_that_do_not_add_up_are_said():
    def split(**seconds):
        return tuple(StageSeconds(stage=stage, charged_s=time, overlapped_s=0.0) for stage, time in seconds.items())

    alike = [start(stages=split(imports=1.8 + step, weights=0.2 - step)) for step in (0.0, 0.01, 0.02)]
    assert "differ so much" not in shown(result(*alike))
    one_each = [start(stages=split(**{stage: 2.0})) for stage in ("imports", "weights", "setup")]
    assert "the starts of plain differ so much that the medians of its stages sum to 0.000 s" in shown(
        result(*one_each)
    )


def test_nothing_measured_yet():
    assert "interrupted after 0 measured starts" in shown(result(finished=False))


def test_a_narrow_terminal_shows_every_stage_with_its_time():
    text = shown(result(*many("plain", 2.0)), width=60)
    assert "first_prediction    0.250 s" in text

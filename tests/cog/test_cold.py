"""Cold starts of real Cog servers, whose times are planted."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from pilotlight.bench.cold.measure import ColdPlan, measure
from pilotlight.bench.cold.observe import Conditions, observe
from pilotlight.bench.harness.proc import group_members
from pilotlight.bench.harness.targets import StartOptions, name_targets
from pilotlight.errors import (
    PilotlightError,
    PredictionFailedError,
    SetupFailedError,
    UsageError,
    WorkerCrashedError,
    WorkerTimeoutError,
)
from pilotlight.runtime import Project
from tests.inputs import made_up
from tests.paths import PROJECTS


def options(setup_timeout_s=120, predict_timeout_s=120, **env):
    return StartOptions(Path(sys.executable), env, setup_timeout_s, predict_timeout_s)


def start(project, inputs, given=None, **more):
    return asyncio.run(observe(Project.load(PROJECTS / project), inputs, given or options(), **more))


def stages(found):
    """By name (charged, overlapped), after checking that they are all of the wall time."""
    assert sum(one.charged_s for one in found.stages) == pytest.approx(found.wall_s, rel=0.02)
    return {one.stage: (one.charged_s, one.overlapped_s) for one in found.stages}


def test_planted_times_of_a_project_that_knows_nothing_of_us():
    found = start("cold_sleeps", {"word": "a"})
    times = stages(found)
    assert list(times) == ["spawn", "interpreter", "imports", "setup", "ready", "first_prediction", "other"]
    planted = {"imports": 0.5, "setup": 0.6, "first_prediction": 0.4}
    assert {stage: times[stage][0] >= planted_s for stage, planted_s in planted.items()} == dict.fromkeys(planted, True)
    starts = [next(one.start_s for one in found.intervals if one.stage == stage) for stage in list(times)[:-1]]
    assert starts == sorted(starts)
    own = {one.package: one.self_s for one in found.imports}
    assert own["slow_module"] >= 0.3
    assert own["predictor"] >= 0.2
    assert 1.1 <= found.ready_s < found.first_output_s <= found.wall_s
    assert found.counters.peak_rss_bytes > 20e6
    assert found.counters.cpu_s > 0
    assert found.files == frozenset()


def test_stamped_stages_and_their_overlap():
    found = start("cold_sleeps", {"word": "a"}, options(SLEEPS_STAMPED="1"), note_files=True)
    times = stages(found)
    assert times["weights"][0] >= 0.3
    assert times["warmup"][0] >= 0.3
    # The last 0.1 s of the weights lie beside the warm-up, which began later and is charged.
    assert 0.1 <= times["weights"][1] <= times["warmup"][0]
    assert times["setup"][1] >= 0.6
    assert {path.name.partition(".")[0] for path in found.files} >= {"predict", "slow_module"}
    assert any("coglet" in str(path) for path in found.files)


@pytest.mark.parametrize(
    ("project", "inputs", "given", "error", "message"),
    [
        ("run_broken", {}, options(), SetupFailedError, "is not there"),
        ("cold_hangs", {}, options(setup_timeout_s=3), WorkerTimeoutError, "did not finish within 3 s"),
        ("run_text", {"prompt": "a", "mode": "die"}, options(), WorkerCrashedError, "died during prediction"),
        ("run_text", {"prompt": "a", "mode": "raise"}, options(), PredictionFailedError, "boom"),
        (
            "run_text",
            {"prompt": "a", "pause_s": 60.0},
            options(predict_timeout_s=1),
            WorkerTimeoutError,
            "first prediction of .* did not finish within 1 s",
        ),
    ],
)
def test_a_start_that_does_not_succeed(project, inputs, given, error, message):
    with pytest.raises(PilotlightError, match=message) as caught:
        start(project, inputs, given)
    assert type(caught.value) is error


def run(plan):
    saved, announced = [], []
    result = asyncio.run(
        measure(
            plan,
            made_up(),
            save=saved.append,
            announce=announced.append,
        )
    )
    return result, saved, announced


def test_several_projects_take_turns_and_one_that_fails_stops_none():
    projects = [Project.load(PROJECTS / name) for name in ("run_broken", "run_lines", "run_lines")]
    plan = ColdPlan(name_targets(projects), 2, 3, None, options(HF_TOKEN="hidden"))
    result, saved, announced = run(plan)
    assert [one.outcome for one in result.failures("run_broken")] == ["setup_failed"]
    assert "looking for the weights" in result.failures("run_broken")[0].message
    assert [one.round for one in result.measured("run_lines")] == [0, 1]
    assert [one.round for one in result.measured("run_lines-2")] == [0, 1]
    assert len(announced) == len(result.processes) == 7
    # Before the first start, after each one, and at the end.
    assert [len(one.processes) for one in saved] == [*range(8), 7]
    assert [one.finished for one in saved] == [*[False] * 8, True]
    assert result.projects[1].inputs == {"numbers": [1]}
    assert "hidden" not in result.model_dump_json()


def test_what_a_start_read_is_taken_out_of_the_page_cache_before_the_next():
    plan = ColdPlan(name_targets([Project.load(PROJECTS / "run_lines")]), 1, 0, "fadvise", options())
    result, _, _ = run(plan)
    unmeasured, measured = result.processes
    assert (unmeasured.evicted_files, measured.outcome) == (0, "succeeded")
    assert measured.evicted_files > 100
    assert (result.settings.page_cache, result.settings.drop_method) == ("dropped", "fadvise")


def caches_found(tmp_path, conditions, **env):
    """What three starts of a project found of their caches, the unmeasured one first."""
    project, log = tmp_path / "project", tmp_path / "log"
    shutil.copytree(PROJECTS / "cold_caches", project, ignore=shutil.ignore_patterns("__pycache__", ".cog"))
    given = options(CACHES_LOG=str(log), PYTHONDONTWRITEBYTECODE="", **env)
    result, _, _ = run(ColdPlan(name_targets([Project.load(project)]), 2, 0, None, given, conditions))
    assert [one.outcome for one in result.processes] == ["succeeded"] * 3
    return result.settings, [json.loads(line) for line in log.read_text().splitlines()]


def test_caches_that_are_present_are_found_from_the_second_start_on(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    settings, starts = caches_found(tmp_path, Conditions(), TORCHINDUCTOR_CACHE_DIR=str(cache))
    assert (settings.compile_cache, settings.bytecode) == ("present", "present")
    assert [(start["folder"], start["marker"]) for start in starts] == [
        (str(cache), False),
        (str(cache), True),
        (str(cache), True),
    ]
    assert [start["bytecode"] for start in starts[1:]] == [True, True]


def test_caches_that_are_absent_are_new_in_every_start_and_gone_after_it(tmp_path):
    settings, starts = caches_found(tmp_path, Conditions(compile_cache="absent", bytecode="absent"))
    assert (settings.compile_cache, settings.bytecode) == ("absent", "absent")
    assert [(start["marker"], start["bytecode"]) for start in starts] == [(False, False)] * 3
    folders = {Path(start["folder"]) for start in starts}
    assert len(folders) == 3
    assert not any(folder.parent.exists() for folder in folders)


def test_a_cache_that_each_start_has_its_own_of_is_not_to_be_given():
    target = name_targets([Project.load(PROJECTS / "run_lines")])
    given = options(TRITON_CACHE_DIR="/x")
    with pytest.raises(UsageError, match="-e TRITON_CACHE_DIR=/x: --compile-cache absent"):
        run(ColdPlan(target, 1, 0, None, given, Conditions(compile_cache="absent")))


def test_a_setup_that_takes_too_much_memory_is_ended_and_says_how_much():
    conditions = Conditions(memory_limit_bytes=200 << 20)
    plan = ColdPlan(name_targets([Project.load(PROJECTS / "cold_eats")]), 2, 0, None, options(), conditions)
    result, _, _ = run(plan)
    (process,) = result.processes
    assert process.outcome == "out_of_memory"
    assert re.search(r"cold_eats used 0\.[2-5]\d GiB of memory; the limit is 0\.20 GiB", process.message)
    assert process.message.endswith("loading everything at once")


@pytest.mark.parametrize("lines", [{"PRINTS_LINES": "1"}, {}])
def test_a_setup_that_prints_without_end_is_given_up_at_its_deadline(lines):
    with pytest.raises(WorkerTimeoutError, match=r"printed [\d,]{9,} bytes, did not finish within 6 s") as caught:
        start("cold_prints", {}, options(setup_timeout_s=6, **lines))
    assert "looking for the weights" in caught.value.logs
    assert len(caught.value.logs) < 2 << 20


def test_an_import_that_hangs_is_given_up_after_the_setup_timeout(tmp_path):
    (tmp_path / "cog.yaml").write_text((PROJECTS / "cold_hangs" / "cog.yaml").read_text())
    hanging = "import threading\nthreading.Event().wait()\n"
    (tmp_path / "predict.py").write_text(hanging + (PROJECTS / "cold_hangs" / "predict.py").read_text())
    result, _, _ = run(ColdPlan(name_targets([Project.load(tmp_path)]), 3, 0, None, options(setup_timeout_s=2)))
    assert [one.outcome for one in result.processes] == ["timed_out"]


def test_cancelled_it_leaves_no_process():
    async def scenario():
        project = Project.load(PROJECTS / "cold_hangs")
        running = asyncio.create_task(observe(project, {}, options()))
        async with asyncio.timeout(120):
            while not (started := groups_of_servers()):  # noqa: ASYNC110 - grandchildren: nothing to wait on
                await asyncio.sleep(0.05)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while any(group_members(group) for group in started):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return started

    assert len(asyncio.run(scenario())) == 1


def groups_of_servers():
    """The groups of the Cog servers that this process has started."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and "cog.server.http" in (folder / "cmdline").read_text():
            found.add(int(fields[2]))
    return found

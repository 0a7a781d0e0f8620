"""The order of a run, and what becomes of a system that fails; all systems are made up."""

import asyncio
import sys
from pathlib import Path

import pytest

from pilotlight.bench.cold.results import StageSeconds
from pilotlight.bench.harness.documents import ProjectInfo, read_document, write_document
from pilotlight.bench.systems.goals import ComparedFigure, FigureKind, Goal, Met, judge, values
from pilotlight.bench.systems.measure import ComparisonPlan, measure
from pilotlight.bench.systems.render import markdown
from pilotlight.bench.systems.results import ComparisonResult, ComparisonSettings
from pilotlight.bench.systems.system_under_test import Began, Level
from pilotlight.errors import SetupFailedError, WorkerCrashedError


class Made:
    """Takes ``start_s`` to its first token and gives ``rate`` tokens/s for each stream; fails when it is told to."""

    command = None

    def __init__(self, name, start_s=1.0, rate=10.0, *, starts=True, streams=True, fails_at=None):
        self.name, self.starts, self.streams = name, starts, streams
        self.start_s, self.rate, self.fails_at = start_s, rate, fails_at
        self.calls = 0
        self.noted = []

    def count(self, error):
        self.calls += 1
        if self.calls == self.fails_at:
            raise error

    async def start(self, *, note_files):
        self.count(SetupFailedError("no such model", logs="Traceback"))
        self.noted.append(note_files)
        time_s = self.start_s * (1 + self.calls / 100)
        stages = (StageSeconds(stage="imports", charged_s=time_s, overlapped_s=0.0),)
        return Began(time_s / 2, time_s, time_s, stages, frozenset({Path(__file__)}))

    async def stream(self, load):
        self.count(WorkerCrashedError("it is gone"))
        firsts = tuple(self.start_s / 100 * i for i in range(1, 21))
        return [Level(n, load.duration_s, 20, self.rate * n * (1 + self.calls / 100), firsts) for n in load.streams]


def run(*systems, rounds=6, drop_method=None):
    settings = ComparisonSettings(
        model="m", artifact="openvino-int8-cpu", rounds=rounds, streams=(1, 16), duration_s=1.0, prompt="p", tokens=4,
        seed=0, drop_method=drop_method, timeout_s=1.0,
    )  # fmt: skip
    infos = tuple(ProjectInfo(name=one.name, env={}, inputs=None, revision=None, weights={}) for one in systems)
    saved, said = [], []
    plan = ComparisonPlan(tuple(systems), infos, settings, Path(sys.executable))
    result = asyncio.run(measure(plan, save=saved.append, announce=said.append))
    assert [one.finished for one in saved] == [*[False] * (len(saved) - 1), True]
    return result, said


@pytest.fixture(scope="module")
def compared():
    return run(Made("slow"), Made("quick", 0.1, 50.0), Made("floor", 0.05, streams=False))[0]


def test_every_round_has_everything_and_the_first_starts_do_not_count():
    made = [Made("a"), Made("b", starts=False), Made("c", streams=False)]
    result, said = run(*made, rounds=3)
    assert [one.calls for one in made] == [1 + 3 + 3, 3, 1 + 3]
    assert made[0].noted == [True, False, False, False]
    assert [(one.round, one.measured) for one in result.processes if one.project == "a"] == [
        (0, False), (0, True), (1, True), (2, True),
    ]  # fmt: skip
    assert [(one.round, one.streams) for one in result.streams if one.project == "b"] == [
        (0, 1), (0, 16), (1, 1), (1, 16), (2, 1), (2, 16),
    ]  # fmt: skip
    assert said[0] == "before the first round: a: start, page cache hot"
    assert "round 3 of 3: b: 1 and 16 streams" in said
    assert len(
        {tuple(said.index(f"round {n} of 3: {name}: start, page cache hot") for name in "ac") for n in (1, 2, 3)}
    )


def test_after_a_drop_a_hot_start_comes_second():
    made = Made("a", streams=False)
    result, said = run(made, rounds=2, drop_method="fadvise")
    # The start with nothing in the cache has filled it again: nothing has to be repeated.
    assert [one.page_cache for one in result.measured("a")] == ["dropped", "hot", "dropped", "hot"]
    assert not any("not counted" in one for one in said)
    result, said = run(Made("a", streams=False), Made("b", streams=False), rounds=1, drop_method="fadvise")
    # Whoever came first lost what it had read to the drop before the second.
    assert len([one for one in said if "not counted" in one]) == 1
    assert len(result.measured("a")) == len(result.measured("b")) == 2


def test_one_that_fails_is_left_out_and_the_others_go_on():
    broken, fine = Made("broken", fails_at=2), Made("fine")
    result, _ = run(broken, fine, rounds=2)
    assert (broken.calls, fine.calls) == (2, 5)
    (failure,) = [one for one in result.streams if one.message]
    assert (failure.project, failure.message) == ("broken", "it is gone")
    assert "broken failed: it is gone" in markdown(result, [])
    result, _ = run(Made("broken", fails_at=1), rounds=2)
    (start,) = result.processes
    assert (start.outcome, start.message) == ("setup_failed", "no such model\nTraceback")


def test_no_token_at_all_is_no_rate():
    result, _ = run(Made("stuck", rate=0.0), rounds=1)
    assert [one.message for one in result.streams] == ["no token came within 1 s; give a longer duration"]


def test_values_are_one_for_each_process(compared):
    assert len(values(compared, "quick", ComparedFigure(FigureKind.FIRST))) == 6
    assert values(compared, "quick", ComparedFigure(FigureKind.READY)) == [
        x / 2 for x in values(compared, "quick", ComparedFigure(FigureKind.FIRST))
    ]
    assert values(compared, "floor", ComparedFigure(FigureKind.RATE, 16)) == []
    assert values(compared, "slow", ComparedFigure(FigureKind.FIRST_DROPPED)) == []
    assert values(compared, "slow", ComparedFigure(FigureKind.FIRST_P95, 16)) == pytest.approx([0.1905] * 6)


@pytest.mark.parametrize(
    ("kind", "limit", "met"),
    [
        (FigureKind.FIRST, 1 / 5, Met.YES),
        (FigureKind.FIRST, 1 / 20, Met.NO),
        (FigureKind.FIRST, 0.1, Met.CANNOT_TELL),
        (FigureKind.RATE, 4.0, Met.YES),
        (FigureKind.RATE, 8.0, Met.NO),
        (FigureKind.RATE, 5.0, Met.CANNOT_TELL),
    ],
)
def test_a_goal_is_met_where_the_whole_interval_is_on_its_side(compared, kind, limit, met):
    figure = ComparedFigure(kind, 16 if kind is FigureKind.RATE else None)
    outcome = judge(compared, Goal(figure, "quick", "slow", limit))
    assert outcome.met is met
    assert outcome.ratio.value == pytest.approx(5.0 if kind is FigureKind.RATE else 0.1, rel=0.01)


def test_too_few_rounds_cannot_tell():
    result, _ = run(Made("slow"), Made("quick", 0.1), rounds=2)
    outcome = judge(result, Goal(ComparedFigure(FigureKind.FIRST), "quick", "slow", 0.2))
    assert (outcome.met, str(outcome.ratio)) == (Met.CANNOT_TELL, "needs at least 4 runs for an interval (have 2)")


def test_the_table_and_the_file(compared, tmp_path):
    write_document(compared, tmp_path / "versus.json")
    assert read_document(ComparisonResult, tmp_path / "versus.json") == compared
    text = markdown(compared, [Goal(ComparedFigure(FigureKind.RATE, 16), "quick", "slow", 3.0)])
    head, *rows = next(part for part in text.split("\n\n") if part.startswith("|  |")).splitlines()
    assert head == "|  | slow | quick | floor |"
    first = next(row for row in rows if "exec to first token" in row).split(" | ")
    assert [cell.partition(" ")[0] for cell in first[1:]] == ["1.08", "0.108", "0.052"]
    assert "| 16 streams, tokens/s | quick | slow | 5 [" in text
    assert "| at least 3 | yes |" in text
    assert "| imports | 1.080 | 0.108 | 0.052 |" in text

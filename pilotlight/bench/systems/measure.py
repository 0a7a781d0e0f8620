"""Measure systems in turn, round after round: starts with a dropped page cache, streams, starts with a hot one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pilotlight.bench.cold.pagecache import drop
from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.harness.environment import load_1m, read_environment
from pilotlight.bench.harness.failures import outcome_of, words_of
from pilotlight.bench.harness.proc import steal_share, system_ticks
from pilotlight.bench.systems.results import ComparisonResult, ComparisonSettings, PageCache, StartResult, StreamsResult
from pilotlight.bench.systems.system_under_test import Level, Load, SystemUnderTest
from pilotlight.errors import WorkerError

__all__ = ["ComparisonPlan", "measure"]


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """The systems to measure, and how.

    Attributes:
        systems: the systems, with different names.
        infos: the systems' descriptions, in the same order.
        settings: the settings of the result.
        python: the interpreter whose environment the result describes.
    """

    systems: tuple[SystemUnderTest, ...]
    infos: tuple[ProjectInfo, ...]
    settings: ComparisonSettings
    python: Path

    @property
    def load(self) -> Load:
        given = self.settings
        return Load(given.streams, given.duration_s, given.prompt, given.tokens, given.timeout_s)


async def measure(
    plan: ComparisonPlan, *, save: Callable[[ComparisonResult], None], announce: Callable[[str], None]
) -> ComparisonResult:
    """Run everything, one process at a time; a system that fails is skipped from then on, and the others continue.

    In each round, each kind of measurement runs all systems in random order, so that slow changes affect all alike.
    If something has dropped the page cache, an uncounted start comes before a start with a hot one.

    Args:
        plan: what to measure.
        save: called with the result so far, before the first process and after every one.
        announce: called with a description before every process.
    """
    runner = _Runner(plan, await _empty_result(plan), save, announce)
    save(runner.result)
    chance = random.Random(plan.settings.seed)  # noqa: S311 - an order, no secret
    for one in plan.systems:
        await runner.start(one, -1, "hot")
    for number in range(plan.settings.rounds):
        if plan.settings.drop_method is not None:
            for one in _shuffled(plan.systems, chance):
                await runner.start(one, number, "dropped")
        for one in _shuffled(plan.systems, chance):
            await runner.stream(one, number)
        for one in _shuffled(plan.systems, chance):
            await runner.start(one, number, "hot")
    runner.result = runner.result.model_copy(update={"finished": True})
    save(runner.result)
    return runner.result


def _shuffled(systems: Sequence[SystemUnderTest], chance: random.Random) -> list[SystemUnderTest]:
    order = list(systems)
    chance.shuffle(order)
    return order


class _Runner:
    """Runs one process after the other; ``result`` holds the results so far."""

    def __init__(
        self,
        plan: ComparisonPlan,
        result: ComparisonResult,
        save: Callable[[ComparisonResult], None],
        announce: Callable[[str], None],
    ) -> None:
        self.result = result
        self._plan = plan
        self._save = save
        self._announce = announce
        self._files: dict[str, frozenset[Path]] = {}
        self._failed: set[str] = set()
        self._cold: set[str] = set()

    async def start(self, one: SystemUnderTest, number: int, page_cache: PageCache) -> None:
        """Run a start; round -1 does not count, and finds out which files it reads."""
        if not one.starts or one.name in self._failed:
            return
        if page_cache == "dropped":
            await self._drop(one)
        elif one.name in self._cold:
            self._say(one, number, "start, not counted")
            await self._take_start(one, -1, page_cache)
        if one.name not in self._failed:
            self._say(one, number, f"start, page cache {page_cache}")
            await self._take_start(one, number, page_cache)

    async def stream(self, one: SystemUnderTest, number: int) -> None:
        """Play all levels of load on one process."""
        if not one.streams or one.name in self._failed:
            return
        self._say(one, number, f"{' and '.join(map(str, self._plan.load.streams))} streams")
        load_before = load_1m()
        try:
            levels = await _levels(one, self._plan.load)
        except WorkerError as error:
            self._failed.add(one.name)
            self._keep(streams=(*self.result.streams, _failed(one, number, load_before, error)))
            return
        self._cold.discard(one.name)
        found = tuple(
            StreamsResult(
                project=one.name,
                round=number,
                streams=level.streams,
                window_s=level.window_s,
                requests=level.requests,
                tokens_per_s=level.tokens_per_s,
                first_output_s=level.first_output_s,
                load_1m=load_before,
            )
            for level in levels
        )
        self._keep(streams=(*self.result.streams, *found))

    async def _take_start(self, one: SystemUnderTest, number: int, page_cache: PageCache) -> None:
        first = one.name not in self._files
        ticks, load_before = system_ticks(), load_1m()
        result = StartResult(
            project=one.name,
            round=max(number, 0),
            measured=number >= 0,
            page_cache=page_cache,
            load_1m=load_before,
            outcome="succeeded",
        )
        try:
            began = await one.start(note_files=first)
        except WorkerError as error:
            self._failed.add(one.name)
            found: dict[str, object] = {"outcome": outcome_of(error), "message": words_of(error)}
        else:
            self._files.setdefault(one.name, began.files)
            self._cold.discard(one.name)
            found = {
                "ready_s": began.ready_s,
                "first_output_s": began.first_output_s,
                "wall_s": began.wall_s,
                "stages": began.stages,
                "steal_share": steal_share(ticks, system_ticks()),
            }
        self._keep(processes=(*self.result.processes, result.model_copy(update=found)))

    async def _drop(self, one: SystemUnderTest) -> None:
        method = self._plan.settings.drop_method
        assert method is not None, "this is a bug: nothing was to be dropped"
        await asyncio.to_thread(drop, method, self._files[one.name])
        self._cold |= {other.name for other in self._plan.systems}

    def _keep(self, **found: object) -> None:
        self.result = self.result.model_copy(update=found)
        self._save(self.result)

    def _say(self, one: SystemUnderTest, number: int, what: str) -> None:
        rounds = self._plan.settings.rounds
        which = "before the first round" if number < 0 else f"round {number + 1} of {rounds}"
        self._announce(f"{which}: {one.name}: {what}")


async def _levels(one: SystemUnderTest, load: Load) -> Sequence[Level]:
    """Return the levels that a system streamed.

    Raises:
        WorkerError: the system failed, or was too slow to have a rate.
    """
    levels = await one.stream(load)
    if not all(level.tokens_per_s for level in levels):
        raise WorkerError(f"no token came within {load.duration_s:g} s; give a longer duration")
    return levels


def _failed(one: SystemUnderTest, number: int, load_before: float, error: WorkerError) -> StreamsResult:
    return StreamsResult(
        project=one.name,
        round=number,
        streams=0,
        window_s=0.0,
        requests=0,
        tokens_per_s=None,
        first_output_s=(),
        load_1m=load_before,
        message=words_of(error),
    )


async def _empty_result(plan: ComparisonPlan) -> ComparisonResult:
    return ComparisonResult(
        created_at=datetime.now(UTC),
        finished=False,
        settings=plan.settings,
        environment=await asyncio.to_thread(read_environment, plan.python),
        projects=plan.infos,
        commands={one.name: one.command for one in plan.systems if one.command is not None},
        processes=(),
        streams=(),
    )

"""The workers that ``bench warm`` measures: real Cog servers, or fakes whose times are planted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pilotlight.bench.cold.observe import observe
from pilotlight.bench.harness.clock import SYSTEM_CLOCK, Clock, FakeClock
from pilotlight.bench.harness.environment import weight_hashes
from pilotlight.bench.harness.targets import BenchTarget, InputMaker, StartOptions, inputs_of
from pilotlight.errors import PredictionFailedError
from pilotlight.runtime import ServerOptions, Worker
from pilotlight.types import Prediction, Status

__all__ = ["CogWorkers", "FakeWorkers", "MeasuredWorker", "Workers"]


class MeasuredWorker(Protocol):
    """One worker: started, asked again and again, stopped."""

    @property
    def logs(self) -> str: ...
    async def ready_s(self, limit_s: float) -> float:
        """Start it and return the seconds until it was ready."""
        ...

    async def predict(self, inputs: Mapping[str, Any]) -> Prediction: ...
    async def stop(self, grace_s: float) -> None: ...


class Workers(Protocol):
    """Starts workers, and has the clock that their predictions are timed with."""

    @property
    def clock(self) -> Clock: ...
    async def inputs(self, target: BenchTarget, inputs_for: InputMaker, options: StartOptions) -> dict[str, Any]:
        """Return the input of a target's predictions."""
        ...

    async def first_start(
        self, target: BenchTarget, inputs: Mapping[str, Any], options: StartOptions
    ) -> tuple[float, dict[str, dict[str, str]]]:
        """Start a worker that fills caches; return its seconds to ready and the hashes of the weights that it read."""
        ...

    def worker(self, target: BenchTarget, options: StartOptions) -> MeasuredWorker: ...


class _CogWorker:
    def __init__(self, target: BenchTarget, options: StartOptions, clock: Clock) -> None:
        self._worker = Worker(target.project, ServerOptions(python=options.python, env=options.env, sse=False))
        self._clock = clock

    @property
    def logs(self) -> str:
        return self._worker.logs

    async def ready_s(self, limit_s: float) -> float:
        await self._worker.start()
        await self._worker.wait_ready(limit_s)
        return self._clock.now() - self._worker.spawned_at_s

    async def predict(self, inputs: Mapping[str, Any]) -> Prediction:
        return await self._worker.predict(inputs)

    async def stop(self, grace_s: float) -> None:
        await self._worker.stop(grace_s)


class CogWorkers:
    """Real Cog servers and the system's clock."""

    clock: Clock = SYSTEM_CLOCK

    async def inputs(self, target: BenchTarget, inputs_for: InputMaker, options: StartOptions) -> dict[str, Any]:
        return await inputs_of(target, inputs_for, options)

    async def first_start(
        self, target: BenchTarget, inputs: Mapping[str, Any], options: StartOptions
    ) -> tuple[float, dict[str, dict[str, str]]]:
        start = await observe(target.project, dict(inputs), options, note_files=True)
        return start.ready_s, await asyncio.to_thread(weight_hashes, start.files)

    def worker(self, target: BenchTarget, options: StartOptions) -> MeasuredWorker:
        return _CogWorker(target, options, self.clock)


class _FakeWorker:
    logs = ""

    def __init__(self, times_s: Sequence[float], ready_s: float, clock: FakeClock) -> None:
        self._times_s = iter(times_s)
        self._ready_s = ready_s
        self._clock = clock
        self.stopped = False

    async def ready_s(self, limit_s: float) -> float:
        await self._clock.sleep(self._ready_s)
        return self._ready_s

    async def predict(self, inputs: Mapping[str, Any]) -> Prediction:
        time_s = next(self._times_s, None)
        if time_s is None:
            raise PredictionFailedError("no time is planted for this prediction")
        await self._clock.sleep(time_s)
        return Prediction("fake", Status.SUCCEEDED, output=dict(inputs))

    async def stop(self, grace_s: float) -> None:
        self.stopped = True


class FakeWorkers:
    """Workers whose predictions take the planted times, on a clock that does not wait.

    Args:
        times_s: by the name of a target, how long each prediction takes; one that is not planted fails.
        ready_s: how long every start takes.

    Attributes:
        made: all workers so far.
    """

    def __init__(self, times_s: Mapping[str, Sequence[float]], ready_s: float = 1.0) -> None:
        self.clock = FakeClock()
        self.made: list[_FakeWorker] = []
        self._times_s = times_s
        self._ready_s = ready_s

    async def inputs(self, target: BenchTarget, inputs_for: InputMaker, options: StartOptions) -> dict[str, Any]:
        return inputs_for({})

    async def first_start(
        self, target: BenchTarget, inputs: Mapping[str, Any], options: StartOptions
    ) -> tuple[float, dict[str, dict[str, str]]]:
        return self._ready_s, {}

    def worker(self, target: BenchTarget, options: StartOptions) -> MeasuredWorker:
        self.made.append(_FakeWorker(self._times_s[target.name], self._ready_s, self.clock))
        return self.made[-1]

"""A Cog project behind the real Cog server, as a system under test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.bench.cold.observe import observe
from pilotlight.bench.cold.results import StageSeconds
from pilotlight.bench.harness.targets import BenchTarget, StartOptions
from pilotlight.bench.load.send import StreamMode
from pilotlight.bench.load.server import serving
from pilotlight.bench.systems.clients import play_levels
from pilotlight.bench.systems.system_under_test import Began, Level, Load

__all__ = ["CogSystem"]


@dataclass(frozen=True, slots=True)
class CogSystem:
    """A project with the inputs of its predictions.

    Attributes:
        target: the project, its name, and its variables.
        options: the options of its workers.
        inputs: the inputs of every prediction.
        lengths: the names of the inputs that set the number of tokens; empty for a project without text output.
        first_tokens: the tokens of the first prediction of a start.
        streams: whether it is measured with several clients.
    """

    target: BenchTarget
    options: StartOptions
    inputs: Mapping[str, Any]
    lengths: tuple[str, ...]
    first_tokens: int = 8
    streams: bool = True
    starts: bool = True
    command: None = None

    @property
    def name(self) -> str:
        return self.target.name

    async def start(self, *, note_files: bool) -> Began:
        options = self.options.of(self.target)
        found = await observe(self.target.project, self._inputs(self.first_tokens), options, note_files=note_files)
        stages = tuple(
            StageSeconds(stage=one.stage, charged_s=one.charged_s, overlapped_s=one.overlapped_s)
            for one in found.stages
        )
        first_output_s = found.wall_s if found.first_output_s is None else found.first_output_s
        return Began(found.ready_s, first_output_s, found.wall_s, stages, found.files)

    async def stream(self, load: Load) -> list[Level]:
        inputs = self._inputs(load.tokens)
        async with serving(self.target, lambda _: inputs, self.options) as served:
            return await play_levels(served.endpoint, StreamMode(served.endpoint, inputs), load)

    def _inputs(self, tokens: int) -> dict[str, Any]:
        return {**self.inputs, **dict.fromkeys(self.lengths, tokens)}

"""What ``bench calibrate --json`` prints, and what a report reads: the figures of a calibration. Format 1.

History: 1, the first.
"""

from __future__ import annotations

from typing import Literal

from pilotlight.bench.calibrate.measure import Calibration, CalibrationFigure
from pilotlight.bench.harness.documents import Strict

__all__ = ["CalibrationFile", "FigureEntry"]


class FigureEntry(Strict):
    """See ``figures.CalibrationFigure``; ``ok`` says whether the value lies, or may lie, from ``low`` to ``high``."""

    name: str
    value: float
    unit: Literal["share", "s"]
    low: float
    high: float
    trials: int
    interval: tuple[float, float] | None = None
    ok: bool


class CalibrationFile(Strict):
    """See ``calibration.Calibration``."""

    format: Literal["pilotlight-bench-calibration"] = "pilotlight-bench-calibration"
    format_version: Literal[1] = 1
    ok: bool
    runs: int
    seed: int
    figures: tuple[FigureEntry, ...]

    @classmethod
    def of(cls, found: Calibration) -> CalibrationFile:
        """What was found, as it is written."""
        entries = (
            FigureEntry.model_validate(
                {name: getattr(figure, name) for name in FigureEntry.model_fields},
            )
            for figure in found.figures
        )
        return cls(ok=found.ok, runs=found.runs, seed=found.seed, figures=tuple(entries))

    def calibration(self) -> Calibration:
        """What was found; whether it is ok follows from its figures."""
        figures = (CalibrationFigure(**entry.model_dump(exclude={"ok"})) for entry in self.figures)
        return Calibration(self.runs, self.seed, tuple(figures))

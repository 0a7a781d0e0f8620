"""The file of ``bench calibrate --json``, which a report reads: the figures of a calibration. Format 1.

History: 1, the first.
"""

from __future__ import annotations

from typing import Literal

from pilotlight.bench.calibrate.measure import Calibration, CalibrationFigure
from pilotlight.bench.harness.documents import Strict

__all__ = ["CalibrationFile", "FigureEntry"]


class FigureEntry(Strict):
    """See ``figures.CalibrationFigure``; ``ok`` is true if the value is, or may be, from ``low`` to ``high``."""

    name: str
    value: float
    unit: Literal["share", "s"]
    low: float
    high: float
    trials: int
    interval: tuple[float, float] | None = None
    ok: bool


class CalibrationFile(Strict):
    """See ``measure.Calibration``."""

    format: Literal["pilotlight-bench-calibration"] = "pilotlight-bench-calibration"
    format_version: Literal[1] = 1
    ok: bool
    runs: int
    seed: int
    figures: tuple[FigureEntry, ...]

    @classmethod
    def of(cls, found: Calibration) -> CalibrationFile:
        """Return the file's form of a calibration."""
        entries = (
            FigureEntry.model_validate(
                {name: getattr(figure, name) for name in FigureEntry.model_fields},
            )
            for figure in found.figures
        )
        return cls(ok=found.ok, runs=found.runs, seed=found.seed, figures=tuple(entries))

    def calibration(self) -> Calibration:
        """Return the calibration; its ``ok`` is computed from its figures."""
        figures = (CalibrationFigure(**entry.model_dump(exclude={"ok"})) for entry in self.figures)
        return Calibration(self.runs, self.seed, tuple(figures))

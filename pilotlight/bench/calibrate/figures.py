"""What a calibration has measured, with its target."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CalibrationFigure"]


@dataclass(frozen=True, slots=True)
class CalibrationFigure:
    """One thing that was measured.

    Attributes:
        name: what it is, in words.
        value: a share from 0 to 1, or seconds.
        unit: ``share`` or ``s``.
        low: the least that is right.
        high: the most that is right.
        trials: how many tries it rests on.
        interval: where the value may lie as far as these tries can tell; ``None`` where they are enough.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    trials: int
    interval: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Whether it is within its target, or may be: out of it is what is shown to be."""
        least, most = self.interval or (self.value, self.value)
        return least <= self.high and most >= self.low

"""The figures measured by a calibration, with their targets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CalibrationFigure"]


@dataclass(frozen=True, slots=True)
class CalibrationFigure:
    """One measured figure.

    Attributes:
        name: the figure's name.
        value: a share from 0 to 1, or seconds.
        unit: ``share`` or ``s``.
        low: the lowest value within the target.
        high: the highest value within the target.
        trials: the number of trials behind the value.
        interval: the value's confidence interval; ``None`` if the trials make the value precise enough.
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
        """Return whether the value is within its target, or its interval does not rule that out."""
        least, most = self.interval or (self.value, self.value)
        return least <= self.high and most >= self.low

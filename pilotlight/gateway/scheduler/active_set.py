"""The predictions of a gateway that have not ended, by id, each with its queue."""

from __future__ import annotations

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.listeners import NullListener
from pilotlight.gateway.scheduler.queue import VersionQueue


class ActiveSet(NullListener):
    """Holds every prediction from ``add`` until it hears of its end."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[ActivePrediction, VersionQueue]] = {}

    def get(self, prediction_id: str) -> tuple[ActivePrediction, VersionQueue] | tuple[None, None]:
        """Return a prediction and its queue; ``None`` twice where it has ended, or there is none."""
        return self._by_id.get(prediction_id, (None, None))

    def add(self, active: ActivePrediction, queue: VersionQueue) -> None:
        self._by_id[active.id] = active, queue

    def ended(self, record: PredictionRecord) -> None:
        self._by_id.pop(record.id, None)

"""What becomes of the predictions that the gateway before this one left unfinished. Pure, but for the catalog."""

from __future__ import annotations

from contextlib import suppress

from pilotlight.errors import ConfigError
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.versions import Version
from pilotlight.runtime.schema.validation import REDACTED
from pilotlight.types import Status

NOT_KEPT = (
    "This prediction has a secret input, which is never stored, so it could not be run after the gateway had ended; "
    "create it again."
)
NOT_SERVED = "The version of this prediction is no longer served here, so it was not run."


def recover(left: PredictionRecord, catalog: Catalog, now: float) -> tuple[PredictionRecord, Version | None]:
    """Return its record from now on, and the version to run it on; ``None`` where it has ended."""
    record = lifecycle.recover(left, now)
    if record.status is not Status.STARTING:
        return record, None
    version = _served(record, catalog)
    if version is None:
        return lifecycle.fail(record, NOT_SERVED, now), None
    if REDACTED in record.input.values():
        return lifecycle.fail(record, NOT_KEPT, now), None
    return record, version


def _served(record: PredictionRecord, catalog: Catalog) -> Version | None:
    """Return the version of a prediction, current or not; ``None`` where it is missing or damaged."""
    with suppress(MissingError, ConfigError):
        return catalog.find(record.version, record.model)
    return None

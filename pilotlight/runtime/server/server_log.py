"""The lines that a Cog server prints, which are JSON objects, with those of its predictor inside."""

from __future__ import annotations

import json
from dataclasses import dataclass

# coglet's names for what the predictor itself has printed: in setup, outside of any prediction, and for one.
_PREDICTOR_TARGETS = ("coglet::setup", "coglet::user", "coglet::prediction")
# What Cog's own start-up code, which is such a string, tells those who still write `predict`.
_COGS_OWN = "<string>:1: DeprecationWarning: "


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        text: the message, without the time, the level and so on.
        level: ``INFO``, ``WARN`` or ``ERROR``; ``None`` for a line that is no log entry.
        predictor: whether the predictor printed it, not the server.
    """

    text: str
    level: str | None = None
    predictor: bool = True


def parse_line(line: str) -> LogLine:
    """Parse a line as printed under ``LOG_FORMAT=json``; any other line counts as printed by the predictor."""
    if not line.startswith('{"timestamp"'):
        return LogLine(line)
    try:
        entry = json.loads(line)
        fields = dict(entry["fields"])
        text = str(fields.pop("message"))
        target = entry["target"]
        level = entry["level"]
    except (ValueError, KeyError, TypeError):
        return LogLine(line)
    # "source" is stdout or stderr; the server's own remarks under these names have none.
    if target in _PREDICTOR_TARGETS and (fields.pop("source", None) or target == "coglet::user"):
        fields.pop("prediction_id", None)
        return LogLine(text, level, predictor=not text.startswith(_COGS_OWN))
    details = "".join(f" {name}={value}" for name, value in fields.items())
    return LogLine(f"{text}{details}", level, predictor=False)

"""The tables of the gateway's database as migrations, and records as rows."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from pilotlight.gateway.prediction import LISTED, LONGEST_LISTED, PredictionRecord
from pilotlight.types import Status
from pilotlight.util.migrations import Migration

MIGRATIONS = (
    Migration(
        1,
        "predictions, when versions were first served, uploads",
        (
            # `number` is the order of arrival, which a clock that is set back does not change; cursors are made of it.
            """
            CREATE TABLE predictions (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                model TEXT NOT NULL,
                version TEXT NOT NULL,
                deployment TEXT,
                input TEXT NOT NULL,
                created_at REAL NOT NULL,
                stream_key TEXT NOT NULL,
                status TEXT NOT NULL,
                started_at REAL,
                completed_at REAL,
                output TEXT NOT NULL,
                error TEXT,
                logs TEXT NOT NULL,
                metrics TEXT NOT NULL
            )
            """,
            "CREATE INDEX unfinished ON predictions (number) WHERE status IN ('starting', 'processing')",
            "CREATE INDEX by_model ON predictions (model)",
            """
            CREATE TABLE versions (
                id TEXT NOT NULL,
                model TEXT NOT NULL,
                created_at REAL NOT NULL,
                PRIMARY KEY (id, model)
            )
            """,
            """
            CREATE TABLE files (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL,
                content_type TEXT NOT NULL,
                size_bytes INTEGER NOT NULL,
                sha256 TEXT NOT NULL,
                md5 TEXT NOT NULL,
                metadata TEXT NOT NULL,
                created_at REAL NOT NULL,
                expires_at REAL NOT NULL,
                key TEXT NOT NULL
            )
            """,
        ),
    ),
    Migration(
        2,
        "retention, webhooks, deadlines, settings",
        # Databases of format 1 were written both with and without these.
        (
            """
            CREATE INDEX IF NOT EXISTS holding ON predictions (completed_at)
            WHERE completed_at IS NOT NULL AND input != 'null'
            """,
            """
            CREATE TABLE IF NOT EXISTS hooks (
                prediction TEXT PRIMARY KEY,
                url TEXT NOT NULL,
                origin TEXT NOT NULL,
                events TEXT NOT NULL,
                base TEXT NOT NULL,
                delivery TEXT NOT NULL,
                attempts INTEGER NOT NULL DEFAULT 0,
                due_at REAL,
                give_up_at REAL
            )
            """,
            "CREATE INDEX IF NOT EXISTS due_hooks ON hooks (due_at) WHERE due_at IS NOT NULL",
            "CREATE TABLE IF NOT EXISTS deadlines (prediction TEXT PRIMARY KEY, cancel_at REAL NOT NULL)",
            "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        ),
    ),
    Migration(
        3,
        "owners of predictions and uploads",
        (
            # Ids of tokens; nobody's where the gateway asks for no token, and before this format.
            "ALTER TABLE predictions ADD COLUMN owner TEXT",
            "ALTER TABLE files ADD COLUMN owner TEXT",
            "CREATE INDEX predictions_by_owner ON predictions (owner, number) WHERE owner IS NOT NULL",
        ),
    ),
    Migration(
        4,
        "deadlines of predictions, also after their end",
        ("ALTER TABLE predictions ADD COLUMN deadline REAL",),
    ),
)

_COLUMNS = (
    "id",
    "model",
    "version",
    "deployment",
    "input",
    "created_at",
    "stream_key",
    "status",
    "started_at",
    "completed_at",
    "output",
    "error",
    "logs",
    "metrics",
    "owner",
    "deadline",
)
_JSON = {"input", "output", "metrics"}
# What changes in a prediction's life; the rest is written once.
_CHANGING = ("status", "started_at", "completed_at", "output", "error", "logs", "metrics")
_UPDATED = ("id", *_CHANGING)

SELECT = f"SELECT number, {', '.join(_COLUMNS)} FROM predictions"  # noqa: S608 - our own names
# For lists: what is long is left out, so that it is not read either.
_EMPTY = {"input": "'{}'", "output": "'null'", "logs": "''"}
_CUT = {
    name: f"CASE WHEN length({name}) > {LONGEST_LISTED} THEN {_EMPTY[name]} ELSE {name} END AS {name}"
    for name in LISTED
}
_LONG = ", ".join(f"length({name}) > {LONGEST_LISTED} AS long_{name}" for name in LISTED)
SELECT_SHORT = f"SELECT number, {', '.join(_CUT.get(name, name) for name in _COLUMNS)}, {_LONG} FROM predictions"  # noqa: S608
INSERT = f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608
# A terminal record never changes, whoever asks.
UPDATE = (
    f"UPDATE predictions SET {', '.join(f'{name} = :{name}' for name in _CHANGING)} "  # noqa: S608
    "WHERE id = :id AND status IN ('starting', 'processing')"
)


# Made once: `json.dumps` makes one for each call that wants other separators.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_row(record: PredictionRecord) -> dict[str, Any]:
    """Return the columns of a record, by name."""
    return _values(record, _COLUMNS)


def to_changes(record: PredictionRecord) -> dict[str, Any]:
    """Return the columns of a record that ``UPDATE`` writes."""
    return _values(record, _UPDATED)


def _values(record: PredictionRecord, columns: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in columns}
    for name in _JSON.intersection(columns):
        values[name] = _encode(values[name])
    values["status"] = str(record.status)
    return values


def from_row(row: sqlite3.Row) -> PredictionRecord:
    """Return the record in a row of ``SELECT``, or of ``SELECT_SHORT``."""
    values = {name: json.loads(row[name]) if name in _JSON else row[name] for name in _COLUMNS}
    removed = values["input"] is None
    left_out = tuple(name for name in LISTED if row[f"long_{name}"]) if "long_input" in row.keys() else ()  # noqa: SIM118
    changed = {"input": values["input"] or {}, "status": Status(row["status"])}
    return PredictionRecord(**{**values, **changed, "data_removed": removed, "left_out": left_out})

"""The table of webhooks that are still owed.

A row is inserted in the transaction that accepts its prediction, and deleted when the end of the prediction has been
delivered or given up, so that none is lost when the gateway is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from pilotlight.gateway.storage.store import Store
from pilotlight.gateway.webhooks.events import GIVE_UP_S, TIMEOUT_S, WebhookSubscription, backoff_s, new_secret

# A delivery that is on its way is not due again before it must have ended.
_LEASE_S = 3 * TIMEOUT_S

_COLUMNS = "prediction, url, origin, events, base, delivery, attempts, give_up_at"
_SELECT = f"SELECT {_COLUMNS} FROM hooks"  # noqa: S608 - our own names
_INSERT = "INSERT INTO hooks (prediction, url, origin, events, base, delivery) VALUES (?, ?, ?, ?, ?, ?)"
_LEFT = "EXISTS (SELECT 1 FROM predictions WHERE id = hooks.prediction AND completed_at IS NOT NULL)"
_SECRET = "webhook_secret"  # noqa: S105 - the name of the setting


def insert(db: sqlite3.Connection, subscription: WebhookSubscription) -> None:
    """Store that a webhook is owed, within the caller's transaction."""
    one = subscription
    db.execute(_INSERT, (one.prediction, one.url, one.origin, ",".join(one.events), one.base, one.delivery))


class Outbox:
    """The webhooks that are owed, in ``store``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def secret(self) -> str:
        """Return the key that signs all deliveries of this database; it is made on the first call."""

        def work(db: sqlite3.Connection) -> str:
            db.execute("INSERT OR IGNORE INTO settings (name, value) VALUES (?, ?)", (_SECRET, new_secret()))
            value: str = db.execute("SELECT value FROM settings WHERE name = ?", (_SECRET,)).fetchone()[0]
            return value

        return await self._store.run(work)

    async def recover(self, now: float) -> list[WebhookSubscription]:
        """Make due what the gateway before this one did not deliver; return those of unfinished predictions."""

        def work(db: sqlite3.Connection) -> list[sqlite3.Row]:
            due = "UPDATE hooks SET due_at = ?, give_up_at = coalesce(give_up_at, ?)"
            db.execute(f"{due} WHERE {_LEFT}", (now, now + GIVE_UP_S))
            return db.execute(f"{_SELECT} WHERE due_at IS NULL").fetchall()

        return [_from_row(row) for row in await self._store.run(work)]

    async def ended(self, prediction: str, now: float) -> None:
        """Make the last delivery of a prediction due, as it has ended."""
        sql, values = "UPDATE hooks SET due_at = ?, give_up_at = ? WHERE prediction = ?", (now, now + GIVE_UP_S)
        await self._store.run(lambda db: db.execute(sql, (*values, prediction)))

    async def claim(self, now: float, busy: Collection[str]) -> tuple[WebhookSubscription | None, float | None]:
        """Return the delivery that has been due for longest, of any origin but the busy ones; else when the next is."""
        other = f"due_at IS NOT NULL AND origin NOT IN ({', '.join('?' * len(busy))})"

        def work(db: sqlite3.Connection) -> tuple[sqlite3.Row | None, float | None]:
            where = f"WHERE {other} AND due_at <= ? ORDER BY due_at LIMIT 1"
            row: sqlite3.Row | None = db.execute(f"{_SELECT} {where}", (*busy, now)).fetchone()
            if row is None:
                sql = f"SELECT min(due_at) FROM hooks WHERE {other}"  # noqa: S608 - question marks
                return None, db.execute(sql, tuple(busy)).fetchone()[0]
            db.execute("UPDATE hooks SET due_at = ? WHERE prediction = ?", (now + _LEASE_S, row["prediction"]))
            return row, None

        row, next_at = await self._store.run(work)
        return (None if row is None else _from_row(row)), next_at

    async def done(self, subscription: WebhookSubscription) -> None:
        """Remove a webhook that is no longer owed."""
        await self._store.run(
            lambda db: db.execute("DELETE FROM hooks WHERE prediction = ?", (subscription.prediction,))
        )

    async def failed(self, subscription: WebhookSubscription, now: float) -> float | None:
        """Note a failed attempt; return when the next one is due, ``None`` when it was the last."""
        attempts = subscription.attempts + 1
        due_at = now + backoff_s(attempts)
        if subscription.give_up_at is None or due_at > subscription.give_up_at:
            await self.done(subscription)
            return None
        sql = "UPDATE hooks SET attempts = ?, due_at = ? WHERE prediction = ?"
        await self._store.run(lambda db: db.execute(sql, (attempts, due_at, subscription.prediction)))
        return due_at


def _from_row(row: sqlite3.Row) -> WebhookSubscription:
    values = dict(row)
    return WebhookSubscription(**{**values, "events": tuple(values["events"].split(","))})

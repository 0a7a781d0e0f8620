"""The gateway's state as HTML. Pure: from a ``GatewayStatus`` alone, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from pilotlight.gateway.scheduler.status import GatewayStatus, ModelStatus, Percentiles, PredictionStatus
from pilotlight.gateway.ui.format import seconds
from pilotlight.types import Status

_MODELS = ("Model", "State", "Workers", "Running", "Waiting", "Median", "p95", "First output", "Ended", "Cold share")
_PREDICTIONS = ("Prediction", "Model", "Status", "Accepted", "Queue", "Cold start", "Worker")
_NONE = "\N{EN DASH}"


def render_live(status: GatewayStatus) -> str:
    """Two tables, each with its heading."""
    stopping = '<p class="warning">The gateway is stopping: it takes no more predictions.</p>'
    models = (_model(one) for one in status.models)
    predictions = (_prediction(one) for one in status.predictions)
    return "".join(
        (
            stopping if status.stopping else "",
            "<h2>Models</h2>",
            _table("Models", _MODELS, models, empty="Nothing is served."),
            "<h2>Latest predictions</h2>",
            _table("Latest predictions", _PREDICTIONS, predictions, empty="None so far."),
        )
    )


def _time(value_s: float | None) -> str:
    return _NONE if value_s is None else seconds(value_s)


def _model(one: ModelStatus) -> list[str]:
    workers = {"ready": one.ready_workers, "starting": one.starting_workers}
    room = one.ready_workers * one.slots
    return [
        f'<strong>{escape(one.model)}</strong> <code title="{escape(one.version)}">{escape(one.version[:12])}</code>',
        _badge(one.state),
        ", ".join(f"{count} {state}" for state, count in workers.items() if count) or "none",
        f"{one.running} of {room}" if room else str(one.running),
        str(one.waiting),
        _time(one.total_s.p50_s),
        _tail(one.total_s),
        _time(one.first_chunk_s.p50_s),
        _ended(one),
        _NONE if one.cold_share is None else f"{one.cold_share:.0%}",
    ]


def _tail(spread: Percentiles) -> str:
    """A percentile that too few values can tell is not made up."""
    if spread.p95_s is None and spread.n:
        return f'<span class="quiet" title="{spread.n} are too few for a 95th percentile">n too small</span>'
    return _time(spread.p95_s)


def _ended(one: ModelStatus) -> str:
    parts = [f"{one.ended[status]} {status}" for status in one.ended if one.ended[status]]
    if one.refused:
        parts.append(f"{one.refused} refused")
    return ", ".join(parts) or _NONE


def _prediction(one: PredictionStatus) -> list[str]:
    at = datetime.fromtimestamp(one.created_at, UTC)
    cold_s = one.cold_start_s or None
    return [
        f"<code>{escape(one.id)}</code>",
        escape(one.model),
        _badge(one.status),
        f'<time datetime="{at.isoformat(timespec="seconds")}">{at:%H:%M:%S} UTC</time>',
        _time(one.queue_s),
        _time(cold_s),
        _time(one.predict_s if one.status is not Status.STARTING else None),
    ]


def _badge(word: str) -> str:
    return f'<span class="badge {escape(word)}">{escape(word)}</span>'


def _table(name: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> str:
    """A table; on a narrow screen rows become cards, so its roles are spelled out and every cell knows its column."""
    bodies = [f'<tr role="row">{_cells(columns, row)}</tr>' for row in rows]
    if not bodies:
        return f'<p class="quiet">{escape(empty)}</p>'
    head = "".join(f'<th role="columnheader" scope="col">{escape(column)}</th>' for column in columns)
    return (
        f'<table role="table" aria-label="{escape(name)}"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(bodies)}</tbody></table>'
    )


def _cells(columns: Sequence[str], row: Sequence[str]) -> str:
    pairs = zip(columns, row, strict=True)
    return "".join(
        f'<td role="cell" data-column="{escape(column)}"{" class=none" if cell == _NONE else ""}>{cell}</td>'
        for column, cell in pairs
    )

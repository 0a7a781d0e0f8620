"""The shapes of Replicate's API: bodies that are sent to it, and objects that it answers with."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from pilotlight.gateway.files import StoredFile
from pilotlight.gateway.problems import ProblemError
from pilotlight.gateway.states import Record
from pilotlight.gateway.store import Page
from pilotlight.gateway.versions import LOCAL, Version
from pilotlight.types import Status

# Of this machine, whatever it has: where workers run is not for the caller to choose.
HARDWARE = {"sku": "local", "name": "This machine"}

Body = TypeVar("Body", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictionBody(_Strict):
    """What creates a prediction; ``version`` only where the URL does not say what to run.

    ``stream`` changes nothing: every prediction has a stream. Webhooks are refused, as none would be sent.
    """

    input: dict[str, Any] | None = None
    version: str | None = None
    stream: bool | None = None
    webhook: str | None = None
    webhook_completed: str | None = None
    webhook_events_filter: list[str] | None = None


class PlainBody(_Strict):
    """What ``POST /predict`` takes."""

    input: dict[str, Any] | None = None


class BatchBody(_Strict):
    """What ``POST /predict/batch`` takes: any number of inputs, each of which may be wrong by itself."""

    inputs: list[Any]


def parse(raw: bytes, body: type[Body]) -> Body:
    """The body of a request; nothing at all counts as ``{}``.

    Raises:
        ProblemError: 400 when it is no JSON, 422 when it is another object than this route takes.
    """
    try:
        document = from_json(raw or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from None
    try:
        return body.model_validate(document)
    except ValidationError as error:
        lines = [f"- {'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()]
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "\n".join(lines), title="The body is not what this route takes"
        ) from None


def prediction(record: Record, base: str, *, hide_progress: bool = False) -> dict[str, Any]:
    """A prediction.

    Args:
        record: as it is now.
        base: where the caller reaches the gateway, such as ``http://127.0.0.1:8394``.
        hide_progress: show one that runs as ``starting``. Replicate does so when the wait for a prediction has run
            out: its client takes any other status for the end, and skips output that it has been shown before.
    """
    running = record.status is Status.PROCESSING
    hidden = hide_progress and running
    url = f"{base}/v1/predictions/{record.id}"
    shown: dict[str, Any] = {
        "id": record.id,
        "model": record.model,
        "version": record.version,
        "input": record.input,
        "output": None if hidden else record.output,
        "logs": "" if hidden else record.logs,
        "error": record.error,
        "status": Status.STARTING if hidden else record.status,
        "created_at": iso(record.created_at),
        "started_at": None if hidden else iso(record.started_at),
        "completed_at": iso(record.completed_at),
        "metrics": {} if hidden else record.metrics,
        "data_removed": False,
        "source": "api",
        "urls": {"get": url, "cancel": f"{url}/cancel", "stream": f"{url}/stream/{record.stream_key}", "web": url},
    }
    return shown | {"deployment": record.deployment} if record.deployment else shown


def version(one: Version) -> dict[str, Any]:
    """A version of a model."""
    return {
        "id": one.id,
        "created_at": iso(one.created_at),
        "cog_version": one.cog_version,
        "openapi_schema": one.document,
    }


def model(one: Version, base: str, run_count: int) -> dict[str, Any]:
    """A model, with the version that is served as its latest."""
    return {
        "url": f"{base}/v1/models/{one.model}",
        "owner": one.owner,
        "name": one.name,
        "description": None,
        "visibility": "private",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": run_count,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version(one),
    }


def deployment(one: Version, min_workers: int, max_workers: int) -> dict[str, Any]:
    """The deployment of the same name as a model: its one version, and how it scales."""
    return {
        "owner": one.owner,
        "name": one.name,
        "current_release": {
            "number": 1,
            "model": one.model,
            "version": one.id,
            "created_at": iso(one.created_at),
            "created_by": account(),
            "configuration": {
                "hardware": HARDWARE["sku"],
                "min_instances": min_workers,
                "max_instances": max_workers,
            },
        },
    }


def file(stored: StoredFile, base: str) -> dict[str, Any]:
    """An upload; ``urls.get`` is where its bytes are, for whoever has it, so that workers and clients can read it."""
    return {
        "id": stored.id,
        "name": stored.name,
        "content_type": stored.content_type,
        "size": stored.size_bytes,
        "etag": stored.md5,
        "checksums": {"sha256": stored.sha256, "md5": stored.md5},
        "metadata": stored.metadata,
        "created_at": iso(stored.created_at),
        "expires_at": iso(stored.expires_at),
        "urls": {"get": f"{base}/v1/files/{stored.id}/{stored.key}/{stored.name}"},
    }


def account() -> dict[str, Any]:
    """Whoever uses this gateway."""
    return {"type": "user", "username": LOCAL, "name": LOCAL, "github_url": None}


def listing(results: list[dict[str, Any]]) -> dict[str, Any]:
    """A list that fits on one page."""
    return {"previous": None, "next": None, "results": results}


def prediction_page(page: Page, base: str) -> dict[str, Any]:
    """A page of predictions, newest first; ``next`` leads to older ones."""
    url = f"{base}/v1/predictions?cursor="
    numbers = [number for number, _ in page.records]
    return {
        "previous": url + write_cursor("after", numbers[0]) if page.newer and numbers else None,
        "next": url + write_cursor("before", numbers[-1]) if page.older and numbers else None,
        "results": [prediction(record, base) for _, record in page.records],
    }


def write_cursor(side: str, number: int) -> str:
    """A place in the list that stays where it is while newer predictions come."""
    return base64.urlsafe_b64encode(f"{side}:{number}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> dict[str, int]:
    """``{"before": number}`` or ``{"after": number}``.

    Raises:
        ProblemError: it is no cursor of ours.
    """
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    match = re.fullmatch(r"(before|after):([0-9]{1,18})", decoded)
    if match is None:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"cursor {text[:80]!r} is not one that this list has given out.")
    return {match[1]: int(match[2])}


def read_wait(prefer: str | None) -> float | None:
    """The seconds of ``Prefer: wait`` (60) or ``Prefer: wait=N`` (1 to 60); ``None`` without.

    Raises:
        ProblemError: it is a wait, but none that can be granted.
    """
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        if not value:
            return 60.0
        if re.fullmatch(r"[0-9]{1,2}", value) and 1 <= int(value) <= 60:
            return float(value)
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Prefer: wait={value[:40]}: give 1 to 60 seconds.")
    return None


def iso(time_s: float | None) -> str | None:
    """Seconds since 1970 as Replicate writes a time."""
    if time_s is None:
        return None
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

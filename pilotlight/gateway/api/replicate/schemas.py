"""The shapes of Replicate's API: bodies that are sent to it, and objects that it answers with."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pilotlight.gateway.api.errors import ProblemError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.deployments import MOST_INSTANCES, Deployment
from pilotlight.gateway.registry.names import NAME_PATTERN
from pilotlight.gateway.registry.registry import Model
from pilotlight.gateway.registry.versions import LOCAL, Version
from pilotlight.gateway.storage.files import StoredFile
from pilotlight.gateway.storage.store import Page
from pilotlight.types import Status

# Of this machine, whatever it has: where workers run is not for the caller to choose.
HARDWARE = {"sku": "local", "name": "This machine"}

_Name = Annotated[str, Field(pattern=NAME_PATTERN)]


WebhookEvent = Literal["start", "output", "logs", "completed"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictionBody(_Strict):
    """What creates a prediction; ``version`` only where the URL does not say what to run.

    ``stream`` changes nothing: every prediction has a stream. ``webhook_completed`` is the old way to ask for the end.
    """

    input: dict[str, Any] | None = None
    version: str | None = None
    stream: bool | None = None
    webhook: str | None = None
    webhook_completed: str | None = None
    webhook_events_filter: Annotated[list[WebhookEvent], Field(min_length=1)] | None = None


class ModelBody(_Strict):
    """What creates a model; ``hardware`` is taken and has no effect: this machine is what there is."""

    owner: _Name
    name: _Name
    visibility: Literal["public", "private"]
    hardware: str
    description: str | None = None
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None


class DeploymentBody(_Strict):
    """What creates a deployment."""

    name: _Name
    model: str
    version: str
    hardware: Annotated[str, Field(min_length=1, max_length=100)]
    min_instances: Annotated[int, Field(ge=0)]
    max_instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)]


class DeploymentChanges(_Strict):
    """What updates one; whatever is left out stays."""

    version: str | None = None
    hardware: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    min_instances: Annotated[int, Field(ge=0)] | None = None
    max_instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)] | None = None


class PlainBody(_Strict):
    """What ``POST /predict`` takes."""

    input: dict[str, Any] | None = None


class BatchBody(_Strict):
    """What ``POST /predict/batch`` takes: any number of inputs, each of which may be wrong by itself."""

    inputs: list[Any]


def prediction(record: PredictionRecord, base: str, *, hide_progress: bool = False) -> dict[str, Any]:
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
        "data_removed": record.data_removed,
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


def model(one: Model, latest: Version | None, base: str, run_count: int) -> dict[str, Any]:
    """A model, with the version that runs when none is asked for."""
    owner, _, name = one.model.partition("/")
    return {
        "url": f"{base}/v1/models/{one.model}",
        "owner": owner,
        "name": name,
        "description": one.description,
        "visibility": one.visibility,
        "github_url": one.github_url,
        "paper_url": one.paper_url,
        "license_url": one.license_url,
        "run_count": run_count,
        "cover_image_url": one.cover_image_url,
        "default_example": None,
        "created_at": iso(one.created_at),
        "latest_version": None if latest is None else version(latest),
    }


def deployment(one: Deployment) -> dict[str, Any]:
    """A deployment, with its latest release."""
    owner, _, name = one.deployment.partition("/")
    return {
        "owner": owner,
        "name": name,
        "current_release": {
            "number": one.number,
            "model": one.model,
            "version": one.version,
            "created_at": iso(one.created_at),
            "created_by": account(),
            "configuration": {
                "hardware": one.hardware,
                "min_instances": one.min_instances,
                "max_instances": one.max_instances,
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
        "urls": {"get": stored.url(base)},
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


def iso(time_s: float | None) -> str | None:
    """Seconds since 1970 as Replicate writes a time."""
    if time_s is None:
        return None
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

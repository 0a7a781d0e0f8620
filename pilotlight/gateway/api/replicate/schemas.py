"""The shapes of Replicate's API: bodies that are sent to it, and objects that it answers with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pilotlight.gateway.api.replicate.output_files import output_for
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.deployments import MOST_INSTANCES, Deployment
from pilotlight.gateway.registry.names import NAME_PATTERN
from pilotlight.gateway.registry.registry import Model
from pilotlight.gateway.registry.versions import LOCAL, Version
from pilotlight.gateway.storage.files import StoredFile
from pilotlight.traffic.sticky import STICKY_PATTERN
from pilotlight.types import Status

# The only choice: workers run on this machine, on whatever it has.
HARDWARE = {"sku": "local", "name": "This machine"}

_Name = Annotated[str, Field(pattern=NAME_PATTERN)]


# A README is read whole, and sent whole.
LONGEST_README = 1 << 20

WebhookEvent = Literal["start", "output", "logs", "completed"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictionBody(_Strict):
    """Creates a prediction; ``version`` is for the URL that names neither a model nor a deployment.

    ``stream`` has no effect, since every prediction has a stream. ``webhook_completed`` is the older field for a
    webhook at the end only.
    """

    input: dict[str, Any] | None = None
    version: str | None = None
    stream: bool | None = None
    webhook: str | None = None
    webhook_completed: str | None = None
    webhook_events_filter: Annotated[list[WebhookEvent], Field(min_length=1)] | None = None


class ModelBody(_Strict):
    """Creates a model; ``hardware`` has no effect: workers run on this machine."""

    owner: _Name
    name: _Name
    visibility: Literal["public", "private"]
    hardware: str
    description: str | None = None
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None


class ModelChanges(_Strict):
    """Changes a model; a field that is left out stays as it is."""

    description: str | None = None
    readme: Annotated[str, Field(max_length=LONGEST_README)] | None = None
    github_url: str | None = None
    paper_url: str | None = None
    weights_url: str | None = None
    license_url: str | None = None


class ShareBody(_Strict):
    """A version of a deployment and its weight, in any unit."""

    version: str
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)]


_Traffic = Annotated[list[ShareBody], Field(min_length=1, max_length=100)]
_Sticky = Annotated[
    str, Field(pattern=f"^$|{STICKY_PATTERN}", description="header:NAME, input:NAME, or empty for none.")
]


class DeploymentBody(_Strict):
    """Creates a deployment. ``traffic`` and ``sticky`` are ours: weights over versions, in place of ``version``."""

    name: _Name
    model: str
    version: str | None = None
    traffic: _Traffic | None = None
    sticky: _Sticky | None = None
    hardware: Annotated[str, Field(min_length=1, max_length=100)]
    min_instances: Annotated[int, Field(ge=0)]
    max_instances: Annotated[int, Field(ge=0, le=MOST_INSTANCES)]


class DeploymentChanges(_Strict):
    """Changes a deployment; a field that is left out stays as it is. ``version`` gets all traffic."""

    version: str | None = None
    traffic: _Traffic | None = None
    sticky: _Sticky | None = None
    hardware: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    min_instances: Annotated[int, Field(ge=0)] | None = None
    max_instances: Annotated[int, Field(ge=0, le=MOST_INSTANCES)] | None = None


class PlainBody(_Strict):
    """Runs one prediction."""

    input: dict[str, Any] | None = None


class BatchBody(_Strict):
    """Runs one prediction for each item of ``inputs``; an item that does not fit fails alone."""

    inputs: list[Any]


def prediction(record: PredictionRecord, base: str, *, hide_progress: bool = False) -> dict[str, Any]:
    """Return a prediction as Replicate shows it.

    Args:
        record: the prediction.
        base: the URL under which the caller reaches the gateway, such as ``http://127.0.0.1:8394``.
        hide_progress: show a running prediction as ``starting``. Replicate does so when the wait for a prediction has
            run out: its client takes any other status for the end, and skips output that it has seen before.
    """
    running = record.status is Status.PROCESSING
    hidden = hide_progress and running
    url = f"{base}/v1/predictions/{record.id}"
    shown: dict[str, Any] = {
        "id": record.id,
        "model": record.model,
        "version": record.version,
        "input": record.input,
        "output": None if hidden else output_for(record, base),
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
    if record.deadline is not None:
        shown["deadline"] = iso(record.deadline)
    if record.left_out:
        shown["left_out"] = list(record.left_out)
    return shown | {"deployment": record.deployment} if record.deployment else shown


def version(one: Version) -> dict[str, Any]:
    """Return a version of a model."""
    return {
        "id": one.id,
        "created_at": iso(one.created_at),
        "cog_version": one.cog_version,
        "openapi_schema": one.document,
    }


def model(one: Model, latest: Version | None, base: str, run_count: int) -> dict[str, Any]:
    """Return a model with its latest version."""
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
    """Return a deployment with its latest release."""
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
            "traffic": [{"version": share.version, "weight": share.weight} for share in one.traffic],
            "sticky": one.sticky,
        },
    }


def file(stored: StoredFile, base: str) -> dict[str, Any]:
    """Return an upload; its content is at ``urls.get``, which needs no token, for workers and clients."""
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
    """Return the account: every caller of this gateway is the same one."""
    return {"type": "user", "username": LOCAL, "name": LOCAL, "github_url": None}


def iso(time_s: float | None) -> str | None:
    """Return seconds since 1970 as Replicate writes a time."""
    if time_s is None:
        return None
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

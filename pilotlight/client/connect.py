"""Which connection a target gets, and where its token comes from."""

from __future__ import annotations

import os

from pilotlight.client.connection import Connection, Timeouts
from pilotlight.client.containers import SageMakerConnection, VertexConnection
from pilotlight.client.http import Retry
from pilotlight.client.local import CogConnection, ProjectConnection
from pilotlight.client.replicate import ReplicateConnection, require_token
from pilotlight.client.runpod import RunPodConnection
from pilotlight.client.targets import Target

# What gcloud itself reads.
_GCLOUD_VARIABLE = "CLOUDSDK_AUTH_ACCESS_TOKEN"


def connect(
    target: Target, *, token: str | None, url: str | None, timeouts: Timeouts, retry: Retry | None
) -> Connection:
    """The connection for a target; nothing is sent yet.

    Raises:
        UsageError: it needs a token.
    """
    match target.kind:
        case "project":
            return ProjectConnection(target)
        case "cog":
            return CogConnection(target, timeouts=timeouts)
        case "runpod":
            key = require_token(token or os.environ.get("RUNPOD_API_KEY"), target, "RUNPOD_API_KEY")
            return RunPodConnection(target, token=key, timeouts=timeouts, retry=retry, url=url)
        case "sagemaker":
            return SageMakerConnection(target, timeouts=timeouts, url=url)
        case "vertex":
            key = require_token(token or os.environ.get(_GCLOUD_VARIABLE), target, _GCLOUD_VARIABLE)
            return VertexConnection(target, token=key, timeouts=timeouts, url=url)
        case "gateway":
            key = token or os.environ.get("PILOTLIGHT_TOKEN") or ""
        case _:
            key = require_token(token or os.environ.get("REPLICATE_API_TOKEN"), target, "REPLICATE_API_TOKEN")
            url = url or os.environ.get("REPLICATE_BASE_URL")
    return ReplicateConnection(target, token=key, timeouts=timeouts, retry=retry, url=url)

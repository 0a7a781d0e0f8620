"""Creates the connection for a target and finds its token."""

from __future__ import annotations

import logging
import os

from pilotlight.client.connection import Connection, Timeouts
from pilotlight.client.http import Retry
from pilotlight.client.targets.local import CogConnection, ProjectConnection
from pilotlight.client.targets.names import Target, address
from pilotlight.client.targets.replicate import ReplicateConnection
from pilotlight.client.targets.runpod import RunPodConnection
from pilotlight.client.targets.sagemaker import SageMakerConnection
from pilotlight.client.targets.vertex import VertexConnection
from pilotlight.config.tokens import api_token, renamed
from pilotlight.config.variables import API_TOKEN
from pilotlight.errors import UsageError

_log = logging.getLogger(__name__)

# The variable that gcloud itself reads.
_GCLOUD_VARIABLE = "CLOUDSDK_AUTH_ACCESS_TOKEN"


def connect(
    target: Target, *, token: str | None, url: str | None, timeouts: Timeouts, retry: Retry | None
) -> Connection:
    """Return the connection for a target, without sending anything.

    Raises:
        UsageError: the target needs a token, or ``url`` is not a URL.
    """
    if target.kind in ("replicate", "replicate-deployment"):
        url = url or os.environ.get("REPLICATE_BASE_URL")
    if url and address(url) is None:
        raise UsageError(f"url {url!r}: expected the address of {target.kind}'s API, such as http://127.0.0.1:8394")
    match target.kind:
        case "project":
            return ProjectConnection(target)
        case "cog":
            return CogConnection(target, timeouts=timeouts)
        case "runpod":
            key = _require_token(token or os.environ.get("RUNPOD_API_KEY"), target, "RUNPOD_API_KEY")
            return RunPodConnection(target, token=key, timeouts=timeouts, retry=retry, url=url)
        case "sagemaker":
            return SageMakerConnection(target, timeouts=timeouts, retry=retry, url=url)
        case "vertex":
            key = _require_token(token or os.environ.get(_GCLOUD_VARIABLE), target, _GCLOUD_VARIABLE)
            return VertexConnection(target, token=key, timeouts=timeouts, retry=retry, url=url)
        case "gateway":
            if not token and (note := renamed(os.environ, API_TOKEN)) is not None:
                _log.warning("%s", note)
            key = token or api_token(os.environ) or ""
            key = _require_token(key, target, API_TOKEN.name) if key else ""
        case _:
            key = _require_token(token or os.environ.get("REPLICATE_API_TOKEN"), target, "REPLICATE_API_TOKEN")
    return ReplicateConnection(target, token=key, timeouts=timeouts, retry=retry, url=url)


def _require_token(token: str | None, target: Target, variable: str) -> str:
    """Return the token without surrounding whitespace, such as the line end of a file.

    Raises:
        UsageError: the token is missing, or contains characters that no token has.
    """
    token = (token or "").strip()
    if not token:
        raise UsageError(f"{target} needs a token: give token=..., or set {variable}")
    if not (token.isascii() and token.isprintable()):
        raise UsageError(f"the token for {target} has characters that no token has: check {variable} or token=...")
    return token

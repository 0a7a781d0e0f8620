"""Inputs that are URLs: the gateway fetches them, and workers read them from the gateway.

A Cog worker would download any URL itself, and follow every redirect. So a worker never gets a caller's URL: it gets a
URL of the gateway, with the content that ``EgressClient`` was allowed to fetch, while the prediction runs. Uploads
(``/v1/files``) are passed on without a fetch, ``data:`` URLs unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pilotlight.errors import InputError, PilotlightError
from pilotlight.gateway.egress.addresses import RefusedUrlError, check_url
from pilotlight.gateway.egress.client import EgressClient, UnreachableError, header
from pilotlight.gateway.egress.decoding import Decoder
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.storage.files import Files, StoredFile
from pilotlight.runtime.schema.validation import InvalidInputError, Mistake

# Of one file: enough for a video over a slow connection.
MOST_BYTES = 4 << 30
TIMEOUT_S = 300.0

_CHUNK_BYTES = 1 << 20
_UPLOAD = re.compile(r"(?:/[^/]+)*/v1/files/([0-9a-f]{40})/([\w-]+)/([\w.-]+)", re.ASCII)


class Inputs:
    """Checks and fetches inputs that are URLs.

    Args:
        files: stores the content while predictions run.
        egress: sends the requests.
        own_url: the URL under which workers reach the gateway, such as ``http://127.0.0.1:8394``.
        most_bytes: the largest file.
    """

    def __init__(self, files: Files, egress: EgressClient, own_url: str, *, most_bytes: int = MOST_BYTES) -> None:
        self._files = files
        self._egress = egress
        self._own_url = own_url
        self._most_bytes = most_bytes

    def check(self, version: Version, inputs: Mapping[str, Any]) -> None:
        """Refuse URLs that are not allowed, as far as that shows without a look-up, before a prediction is accepted.

        Raises:
            InvalidInputError: has a mistake for each of them.
        """
        mistakes = []
        for name, value in inputs.items():
            for url in _urls(value) if name in version.validator.files else ():
                try:
                    if _upload_in(url) is None:
                        check_url(url, self._egress.policy)
                except RefusedUrlError as error:
                    mistakes.append(Mistake(name, str(error)))
        if mistakes:
            raise InvalidInputError(mistakes)

    @contextlib.asynccontextmanager
    async def ready(self, version: Version, inputs: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the inputs for the worker; the fetched content exists while in this context.

        Raises:
            InputError: a URL could not be fetched; the message says which and why.
        """
        async with contextlib.AsyncExitStack() as stack:
            replaced = {}
            for name, value in inputs.items():
                if name not in version.validator.files or not _urls(value):
                    continue
                try:
                    replaced[name] = (
                        [await self._own(one, stack) for one in value]
                        if isinstance(value, list)
                        else await self._own(value, stack)
                    )
                except PilotlightError as error:
                    raise InputError(name, str(error)) from error
            yield {**inputs, **replaced}

    async def _own(self, value: Any, stack: contextlib.AsyncExitStack) -> Any:
        if not _is_url(value):
            return value
        stored = await self._upload(value)
        if stored is None:
            stored = await self._fetch(value)
            stack.push_async_callback(self._files.take_back, stored)
        return stored.url(self._own_url)

    async def _upload(self, url: str) -> StoredFile | None:
        found = _upload_in(url)
        if found is None:
            return None
        stored = await self._files.get(found[0])
        return stored if stored is not None and found == (stored.id, stored.key, stored.name) else None

    async def _fetch(self, url: str) -> StoredFile:
        name = unquote(urlsplit(url).path)
        async with self._egress.get(url, timeout_s=TIMEOUT_S) as response:
            kind = header(response, "content-type") or "application/octet-stream"
            with self._files.drafting(name, kind) as draft:
                waiting = bytearray()
                decoder = Decoder(header(response, "content-encoding"))
                async for chunk in response.aiter_stream():
                    for piece in decoder.decode(chunk):
                        waiting += piece
                        if draft.size_bytes + len(waiting) > self._most_bytes:
                            raise UnreachableError(
                                f"the file is larger than {self._most_bytes:,} bytes: upload it instead"
                            )
                        if len(waiting) >= _CHUNK_BYTES:
                            await asyncio.to_thread(draft.write, bytes(waiting))
                            waiting.clear()
                decoder.finish()
                draft.write(bytes(waiting))
        return self._files.lend(draft)


def _upload_in(url: str) -> tuple[str, str, str] | None:
    """Return id, key and name from the URL of an upload, under any name of the gateway; ``None`` for another URL."""
    try:
        match = _UPLOAD.fullmatch(urlsplit(url).path)
    except ValueError:
        return None
    return None if match is None else (match[1], match[2], match[3])


def _is_url(value: Any) -> bool:
    """Return whether a worker would download the value; ``urlsplit`` forgives spaces, as the worker does."""
    if not isinstance(value, str) or value[:5].lower() == "data:":
        return False
    try:
        return urlsplit(value).scheme in ("http", "https")
    except ValueError:
        return False


def _urls(value: Any) -> list[str]:
    """Return the URLs in an input that is one value or a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if _is_url(one)]

"""Inputs that are URLs: the gateway fetches what they name, and the worker gets it from the gateway.

A Cog worker would download them itself, from wherever they lead, and follow every redirect. So what a worker is given
is never a caller's URL, but one of the gateway's own, under which lies what ``egress`` was allowed to fetch, for as
long as the prediction runs. Uploads (``/v1/files``) are handed on without being fetched, ``data:`` URLs as they are.
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
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.storage.files import Files, StoredFile
from pilotlight.runtime.schema.validation import InvalidInputError, Mistake

# Of one file, and for one: a video, over a line that is not quite broken.
MOST_BYTES = 4 << 30
TIMEOUT_S = 300.0

_CHUNK_BYTES = 1 << 20
_UPLOAD = re.compile(r"/v1/files/([0-9a-f]{40})/([\w-]+)/([\w.-]+)", re.ASCII)


class Inputs:
    """Fetches inputs.

    Args:
        files: where they lie while they are needed.
        outward: reaches what callers may name.
        own_url: where a worker reaches the gateway, such as ``http://127.0.0.1:8394``.
        most_bytes: of one file.
    """

    def __init__(self, files: Files, egress: EgressClient, own_url: str, *, most_bytes: int = MOST_BYTES) -> None:
        self._files = files
        self._outward = egress
        self._own_url = own_url
        self._most_bytes = most_bytes

    def check(self, version: Version, inputs: Mapping[str, Any]) -> None:
        """Refuses, before a prediction is accepted, URLs that can be seen to lead where the gateway does not reach.

        Raises:
            InvalidInputError: carries every one of them.
        """
        mistakes = []
        for name, value in inputs.items():
            for url in _urls(value) if name in version.validator.files else ():
                try:
                    if _upload_in(url) is None:
                        check_url(url, self._outward.reach)
                except RefusedUrlError as error:
                    mistakes.append(Mistake(name, str(error)))
        if mistakes:
            raise InvalidInputError(mistakes)

    @contextlib.asynccontextmanager
    async def ready(self, version: Version, inputs: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The inputs as the worker gets them, while in this context.

        Raises:
            InputError: a URL could not be fetched; says which and why.
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
        async with self._outward.get(url, timeout_s=TIMEOUT_S) as response:
            kind = header(response, "content-type") or "application/octet-stream"
            with self._files.drafting(name, kind) as draft:
                waiting = bytearray()
                async for chunk in response.aiter_stream():
                    waiting += chunk
                    if draft.size_bytes + len(waiting) > self._most_bytes:
                        raise UnreachableError(f"it is larger than {self._most_bytes:,} bytes; upload it instead")
                    if len(waiting) >= _CHUNK_BYTES:
                        await asyncio.to_thread(draft.write, bytes(waiting))
                        waiting.clear()
                draft.write(bytes(waiting))
        return self._files.lend(draft)


def _upload_in(url: str) -> tuple[str, str, str] | None:
    """Id, key and name in what may be the URL of an upload, under whatever name its caller knows the gateway."""
    try:
        match = _UPLOAD.fullmatch(urlsplit(url).path)
    except ValueError:
        return None
    return None if match is None else (match[1], match[2], match[3])


def _is_url(value: Any) -> bool:
    """Whether a worker would download it: it splits URLs as we do, which forgives spaces and line ends."""
    if not isinstance(value, str) or value[:5].lower() == "data:":
        return False
    try:
        return urlsplit(value).scheme in ("http", "https")
    except ValueError:
        return False


def _urls(value: Any) -> list[str]:
    """Those to fetch in an input that is one, or a list of them."""
    return [one for one in (value if isinstance(value, list) else [value]) if _is_url(one)]

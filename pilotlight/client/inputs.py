"""From what a caller has to what a target takes: files become URLs, and mistakes are found before anything is sent."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pilotlight.client.connection import Connection
from pilotlight.errors import InputError
from pilotlight.runtime.request import encode_body
from pilotlight.runtime.validation import Validator

# Longer ones are uploaded where the target has a place for files; Replicate's own client does the same.
INLINE_BYTES = 256 * 1000


async def prepare(inputs: Mapping[str, Any], connection: Connection) -> dict[str, Any]:
    """The inputs as JSON values: without those that are ``None``, and with a URL for each file.

    Files are ``pathlib.Path`` and ``bytes``, lists of them included.

    Raises:
        InputError: a file cannot be read, or JSON has no form for a value.
        TargetError: a file cannot be uploaded.
    """
    found = {name: await _value(name, value, connection) for name, value in inputs.items() if value is not None}
    encode_body(found)
    return found


async def _value(name: str, value: Any, connection: Connection) -> Any:
    if isinstance(value, list | tuple):
        return [await _value(name, one, connection) for one in value]
    if isinstance(value, Path):
        try:
            content = await asyncio.to_thread(value.expanduser().read_bytes)
        except OSError as error:
            raise InputError(name, f"cannot read {value}: {error.strerror}") from error
        return await _url(value.name, content, connection)
    if isinstance(value, bytes | bytearray | memoryview):
        return await _url("file", bytes(value), connection)
    return value


async def _url(name: str, content: bytes, connection: Connection) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if len(content) > INLINE_BYTES:
        url = await connection.upload(name, content, kind)
        if url is not None:
            return url
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class Checker:
    """Checks inputs against the OpenAPI document that ``schema`` gives, asked for once; ``None`` is no check."""

    def __init__(self, schema: Callable[[], Awaitable[Mapping[str, Any] | None]]) -> None:
        self._schema = schema
        self._validator: Validator | None = None
        self._asked = False

    async def check(self, inputs: Mapping[str, Any]) -> None:
        """Returns for inputs that the target will not refuse for their form.

        Raises:
            InputError: names the input, what is allowed, and a name that may have been meant.
            TargetError: the schema cannot be had.
        """
        if not self._asked:
            document = await self._schema()
            self._validator = None if document is None else Validator(document)
            self._asked = True
        if self._validator is not None:
            self._validator.check(inputs)

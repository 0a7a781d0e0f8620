"""Prepares inputs for a target: replaces files by URLs and checks values before anything is sent."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.client.connection import Connection
from pilotlight.errors import InputError
from pilotlight.runtime.http.request import encode_body
from pilotlight.runtime.schema.validation import Validator
from pilotlight.util.media_types import media_type

_LOG = logging.getLogger(__name__)

# Larger files are uploaded if the target stores files, as in Replicate's own client.
INLINE_BYTES = 256 * 1000


async def prepare(inputs: Mapping[str, Any], connection: Connection) -> dict[str, Any]:
    """Return the inputs as JSON values: without ``None`` values, and with a URL for each file.

    Files are ``pathlib.Path``, ``bytes``, what ``open`` returns, and lists of these.

    Raises:
        InputError: a file cannot be read, or a value cannot be written as JSON.
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
    if isinstance(value, io.IOBase):
        value = await _read(name, value)
    if isinstance(value, ReadFile):
        return await _url(value.name, value.content, connection)
    return value


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The content and name of an open file, read from the caller's file object."""

    name: str
    content: bytes


async def read_open_files(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with open files read into memory, so that they can be sent more than once.

    Raises:
        InputError: a file cannot be read.
    """

    async def read(name: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [await read(name, one) for one in value]
        return await _read(name, value) if isinstance(value, io.IOBase) else value

    return {name: await read(name, value) for name, value in inputs.items()}


async def _read(name: str, file: io.IOBase) -> ReadFile:
    """Read the rest of an open file, and its name if it has one."""
    try:
        content: str | bytes = await asyncio.to_thread(file.read)
    except (OSError, ValueError) as error:
        raise InputError(name, f"cannot read {file!r}: {error}") from error
    given = getattr(file, "name", None)
    whole = content.encode() if isinstance(content, str) else content
    return ReadFile(Path(given).name if isinstance(given, str) else "file", whole)


async def _url(name: str, content: bytes, connection: Connection) -> str:
    kind = media_type(name)
    if len(content) > INLINE_BYTES:
        url = await connection.upload(name, content, kind)
        if url is not None:
            return url
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class Checker:
    """Checks inputs against the OpenAPI document that ``schema`` returns, fetched once; ``None`` disables the check.

    Targets ignore inputs that the predictor does not have. The log has a warning of each such name, once; with
    ``strict`` they are refused.
    """

    def __init__(self, schema: Callable[[], Awaitable[Mapping[str, Any] | None]], *, strict: bool = False) -> None:
        self._schema = schema
        self._strict = strict
        self._warned: set[str] = set()
        self._validator: Validator | None = None
        self._asked = False

    async def check(self, inputs: Mapping[str, Any]) -> None:
        """Check inputs against the schema.

        Raises:
            InputError: an input is invalid; the message gives the allowed values and a similar name.
            TargetError: the schema cannot be fetched.
        """
        if not self._asked:
            document = await self._schema()
            self._validator = None if document is None else Validator(document)
            self._asked = True
        if self._validator is not None:
            self._validator.check(inputs, strict=self._strict)
            for error in self._validator.schema.unknown_inputs(inputs.keys() - self._warned):
                self._warned.add(error.name)
                _LOG.warning("%s; the target ignores it", error)

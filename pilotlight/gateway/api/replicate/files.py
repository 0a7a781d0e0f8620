"""Replicate's API for files, under ``/v1/files``."""

from __future__ import annotations

import hmac
import json
import re
from http import HTTPStatus
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pilotlight.gateway.api.errors import ProblemError, not_found
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.predictions import base_of
from pilotlight.gateway.storage.files import Files, StoredFile

_LONGEST_METADATA_BYTES = 64 * 1024

# What a caller has uploaded must never act as a page of the gateway's own in somebody's browser.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}


def routes() -> list[Route]:
    """All of them; the app's ``state.files`` does the work."""
    return [
        Route("/v1/files", list_files),
        Route("/v1/files", upload, methods=["POST"]),
        Route("/v1/files/{id}", get_file),
        Route("/v1/files/{id}", delete_file, methods=["DELETE"]),
        Route("/v1/files/{id}/{key}/{name}", download),
    ]


async def upload(request: Request) -> Response:
    """A form with the file as ``content``, and optionally its ``filename``, its ``type`` and an object as ``metadata``.

    Older clients say the first two with the content.
    """
    try:
        async with request.form(max_files=2, max_fields=4, max_part_size=_LONGEST_METADATA_BYTES) as form:
            content = form.get("content")
            if not isinstance(content, UploadFile):
                raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "Send a form whose part content is the file.")
            given = form.get("metadata")
            metadata = _metadata(await given.read() if isinstance(given, UploadFile) else given)
            kind = _kind(_text(form.get("type")) or content.content_type or "application/octet-stream")
            name = _text(form.get("filename")) or content.filename or "file"
            stored = await _files(request).add(content.file, name, kind, metadata)
    except HTTPException as error:  # the parser's
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"The form cannot be read: {error.detail}") from None
    return JSONResponse(replicate_schemas.file(stored, base_of(request)), HTTPStatus.CREATED)


async def list_files(request: Request) -> Response:
    stored = await _files(request).all()
    return JSONResponse(replicate_schemas.listing([replicate_schemas.file(one, base_of(request)) for one in stored]))


async def get_file(request: Request) -> Response:
    return JSONResponse(replicate_schemas.file(await _find(request), base_of(request)))


async def delete_file(request: Request) -> Response:
    if not await _files(request).delete(request.path_params["id"]):
        raise _no_file(request)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def download(request: Request) -> Response:
    """Its bytes, for whoever has the URL."""
    stored = await _find(request)
    key, name = request.path_params["key"], request.path_params["name"]
    if not hmac.compare_digest(stored.key.encode(), key.encode()) or name != stored.name:
        raise _no_file(request)
    path = _files(request).path(stored)
    return FileResponse(path, media_type=stored.content_type, filename=stored.name, headers=_HARMLESS)


def _files(request: Request) -> Files:
    files: Files = request.app.state.files
    return files


async def _find(request: Request) -> StoredFile:
    stored = await _files(request).get(request.path_params["id"])
    if stored is None:
        raise _no_file(request)
    return stored


def _no_file(request: Request) -> ProblemError:
    return not_found(f"file {request.path_params['id'][:140]!r}")


def _text(field: UploadFile | str | None) -> str | None:
    return field if isinstance(field, str) else None


def _kind(given: str) -> str:
    """It becomes a header of every download."""
    if not re.fullmatch(r"[!-~]+/[ -~]+", given):
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"type {given[:80]!r}: give one such as text/plain.")
    return given


def _metadata(given: str | bytes | None) -> dict[str, Any]:
    try:
        metadata = json.loads(given or "{}")
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "The part metadata has to be a JSON object.")
    return metadata

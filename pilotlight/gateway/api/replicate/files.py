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

from pilotlight.gateway.api.errors import ApiError, bad_request, not_found, unprocessable
from pilotlight.gateway.api.openapi_schemas import TEXT, page_of, record, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.pages import CURSOR, page_response
from pilotlight.gateway.api.request import base_of, caller_of, files_of, gateway_of, services_of
from pilotlight.gateway.api.routing import BYTES, EMPTY, OPEN, Routes, as_json
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.registry.versions import LOCAL
from pilotlight.gateway.storage.files import StoredFile
from pilotlight.util import webhook_signing

ROUTES = Routes("Files")

_FILE = ref("File")
_FORM = record({"metadata": TEXT}, content={"type": "string", "format": "binary"})

_LONGEST_METADATA_BYTES = 64 * 1024

# The query of a signed download.
_SIGNED = {
    "owner": "Always `local`.",
    "expiry": "Until when the URL holds, in seconds since 1970.",
    "signature": "Base64 of the HMAC-SHA256 of `OWNER ID EXPIRY` by the secret of webhooks.",
}

# An upload must not act as a page of the gateway in a browser.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}


@ROUTES.add(
    "POST",
    "/v1/files",
    scope=Scope.PREDICT,
    summary="Upload a file, to be given as an input by its URL.",
    answers={201: as_json(_FILE)},
    errors=(422, 507),
    takes={"multipart/form-data": _FORM},
)
async def upload(request: Request) -> Response:
    """Read a form: the file as ``content``; optionally ``filename``, ``type``, and a JSON object as ``metadata``.

    Older clients give name and type with the part ``content`` itself.
    """
    try:
        async with request.form(max_files=2, max_fields=4, max_part_size=_LONGEST_METADATA_BYTES) as form:
            content = form.get("content")
            if not isinstance(content, UploadFile):
                raise unprocessable("The form has no file: send it as the part content.")
            given = form.get("metadata")
            metadata = _metadata(await given.read() if isinstance(given, UploadFile) else given)
            kind = _kind(_text(form.get("type")) or content.content_type or "application/octet-stream")
            name = _text(form.get("filename")) or content.filename or "file"
            caller = caller_of(request)
            stored = await files_of(request).add(
                content.file, name, kind, metadata, owner=caller.owner, limited=caller.only_owner is not None
            )
    except HTTPException as error:  # the parser's
        raise bad_request(f"The form cannot be read: {error.detail}") from None
    return JSONResponse(replicate_schemas.file(stored, base_of(request)), HTTPStatus.CREATED)


@ROUTES.add(
    "GET",
    "/v1/files",
    scope=Scope.READ,
    summary="List the uploads; a token of scope predict lists its own.",
    answers={200: as_json(page_of(_FILE))},
    errors=(400,),
    parameters=(CURSOR,),
)
async def list_files(request: Request) -> Response:
    stored = await files_of(request).all(owner=caller_of(request).only_owner)
    base = base_of(request)
    return await page_response(request, stored, lambda one: replicate_schemas.file(one, base), lambda one: one.id)


@ROUTES.add(
    "GET", "/v1/files/{id}", scope=Scope.READ, summary="Get an upload.", answers={200: as_json(_FILE)}, errors=(404,)
)
async def get_file(request: Request) -> Response:
    return JSONResponse(replicate_schemas.file(await _find_own(request), base_of(request)))


@ROUTES.add(
    "DELETE",
    "/v1/files/{id}",
    scope=Scope.PREDICT,
    summary="Delete an upload.",
    answers={204: EMPTY},
    errors=(404,),
)
async def delete_file(request: Request) -> Response:
    stored = await _find_own(request)
    if not await files_of(request).delete(stored.id):
        raise _no_file(request)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@ROUTES.add(
    "GET",
    "/v1/files/{id}/{key}/{name}",
    scope=OPEN,
    summary="Get the content of an upload; the URL holds its secret.",
    answers={200: BYTES},
    errors=(404,),
)
async def download(request: Request) -> Response:
    stored = await _find(request)
    key, name = request.path_params["key"], request.path_params["name"]
    if not hmac.compare_digest(stored.key.encode(), key.encode()) or name != stored.name:
        raise _no_file(request)
    return _content(request, stored)


def _content(request: Request, stored: StoredFile) -> Response:
    path = files_of(request).path(stored)
    return FileResponse(path, media_type=stored.content_type, filename=stored.name, headers=_HARMLESS)


@ROUTES.add(
    "GET",
    "/v1/files/{id}/download",
    scope=OPEN,
    summary="Get the content of an upload by a URL that expires, signed with the secret of webhooks.",
    answers={200: BYTES},
    errors=(404,),
    parameters=tuple(
        {"name": name, "in": "query", "required": True, "schema": TEXT, "description": what}
        for name, what in _SIGNED.items()
    ),
)
async def download_signed(request: Request) -> Response:
    """Check the signature: base64 of the HMAC-SHA256 of ``OWNER ID EXPIRY``; the owner is always ``local``."""
    stored, query = await _find(request), request.query_params
    owner, expiry, given = (query.get(name, "") for name in ("owner", "expiry", "signature"))
    expected = webhook_signing.sign_text(services_of(request).dispatcher.secret, f"{owner} {stored.id} {expiry}")
    # A plus sign that was not escaped has become a space.
    good = hmac.compare_digest(expected.encode(), given.replace(" ", "+").encode())
    in_time = re.fullmatch("[0-9]{1,12}", expiry) is not None and int(expiry) >= gateway_of(request).clock()
    if not good or not in_time or owner != LOCAL:
        raise _no_file(request)
    return _content(request, stored)


async def _find(request: Request) -> StoredFile:
    stored = await files_of(request).get(request.path_params["id"])
    if stored is None:
        raise _no_file(request)
    return stored


async def _find_own(request: Request) -> StoredFile:
    """Return the upload in the path; raises a 404 where there is none, or it is not there for this caller."""
    stored = await _find(request)
    if not caller_of(request).may_use(stored.owner):
        raise _no_file(request)
    return stored


def _no_file(request: Request) -> ApiError:
    return not_found(f"file {request.path_params['id'][:140]!r}")


def _text(field: UploadFile | str | None) -> str | None:
    return field if isinstance(field, str) else None


def _kind(given: str) -> str:
    """Return the content type, which becomes a header of every download."""
    if not re.fullmatch(r"[!-~]+/[ -~]+", given):
        raise unprocessable(f"type {given[:80]!r} is not a content type: give one such as text/plain.")
    return given


def _metadata(given: str | bytes | None) -> dict[str, Any]:
    try:
        metadata = json.loads(given or "{}")
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, 'metadata is not a JSON object: give one such as {"key": "value"}.'
        )
    return metadata

"""The route for files in the outputs of predictions."""

from __future__ import annotations

import hmac
import re

from starlette.requests import Request
from starlette.responses import Response

from pilotlight.gateway.api.errors import not_found
from pilotlight.gateway.api.replicate.output_files import file_key, file_of
from pilotlight.gateway.api.request import gateway_of
from pilotlight.gateway.api.routing import BYTES, OPEN, Routes

ROUTES = Routes("Predictions")

# An output must not act as a page of the gateway in a browser.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}


@ROUTES.add(
    "GET",
    "/v1/predictions/{id}/files/{key}/{name}",
    scope=OPEN,
    summary="Get a file of a prediction's output; the URL holds its secret.",
    answers={200: BYTES},
    errors=(404,),
)
async def get_output_file(request: Request) -> Response:
    record = await gateway_of(request).find(request.path_params["id"])
    key, name = request.path_params["key"], request.path_params["name"]
    if record is None or not hmac.compare_digest(file_key(record).encode(), key.encode()):
        raise not_found("such file")
    number = name.partition(".")[0]
    found = file_of(record.output, int(number)) if re.fullmatch("[0-9]{1,6}", number) else None
    if found is None:
        raise not_found("such file")
    return Response(found.content, media_type=found.content_type, headers=_HARMLESS)

"""A Cog project as a SageMaker container: ``/ping`` and ``/invocations``, in JSON, JSON lines or CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pilotlight.adapters.hosting import Host
from pilotlight.adapters.web import (
    PredictionError,
    answer_error,
    body_of,
    ending,
    health,
    predict,
    require_object,
    streamed,
    while_asked,
)
from pilotlight.errors import ConfigError
from pilotlight.runtime import Completed, Output
from pilotlight.runtime.predictor_schema import InputField

DEFAULT_PORT = 8080

_JSON = "application/json"
_LINES = "application/jsonlines"
_CSV = "text/csv"


def port_from(environ: Mapping[str, str]) -> int:
    """Return the port to listen on: ``SAGEMAKER_BIND_TO_PORT``, or 8080.

    Raises:
        ConfigError: the variable is not a port from 1 to 65535.
    """
    port = environ.get("SAGEMAKER_BIND_TO_PORT") or str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"SAGEMAKER_BIND_TO_PORT is {port!r}; expected a port, 1 to 65535")
    return int(port)


def create_app(host: Host) -> Starlette:
    """Return the container's HTTP application.

    ``POST /invocations`` depends on its ``Content-Type``. ``application/json`` is one prediction's inputs, alone or as
    ``{"input": {...}}``. ``application/jsonlines`` has one prediction per line, as batch transform sends them.
    ``text/csv`` has one per row, below a header with the inputs' names. Responses to the last two have the same format
    and order; a line that fails does not affect the others and is answered by ``{"error": ...}``. With
    ``Accept: application/jsonlines`` a single prediction is streamed: each chunk is a line ``{"output": ...}``, and the
    last line is ``{"end": {...}}``.
    """

    async def ping(_: Request) -> Response:
        return health(host)

    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        if kind == _JSON:
            inputs = _single(await body_of(request))
            if _LINES in request.headers.get("accept", "").lower():
                return await streamed(request, host, inputs, partial(_line, host), _LINES)
            return JSONResponse({"output": await while_asked(request, predict(host, inputs))})
        if kind in (_LINES, "application/x-jsonlines", "application/jsonl"):
            rows = await while_asked(request, _all(host, _from_lines(await _text(request))))
            return Response(_lines(rows), media_type=_LINES)
        if kind == _CSV:
            rows = await while_asked(request, _all(host, _from_csv(host, await _text(request))))
            return PlainTextResponse(_to_csv(rows), media_type=_CSV)
        raise PredictionError(f"content type {kind!r}: send {_JSON}, {_LINES} or {_CSV}", 415)

    return Starlette(
        routes=[Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])],
        exception_handlers={PredictionError: answer_error},
    )


def _single(body: Any) -> dict[str, Any]:
    inputs = require_object(body, "the body")
    if inputs.keys() == {"input"} and isinstance(inputs["input"], dict):
        return require_object(inputs["input"], "input")
    return inputs


async def _text(request: Request) -> str:
    try:
        return (await request.body()).decode("utf-8-sig")  # Excel begins a CSV with a byte order mark
    except UnicodeDecodeError as error:
        raise PredictionError(f"the body is not UTF-8: {error}", 400) from error


def _from_lines(text: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_single(json.loads(line)))
        except ValueError as error:
            raise PredictionError(f"line {number} is not JSON: {error}", 400) from error
    return found


def _from_csv(host: Host, text: str) -> list[dict[str, Any]]:
    """Return the inputs in the rows below a header. Cells of non-text inputs are JSON; empty cells are not given."""
    known = host.schema.inputs
    try:
        return _rows(csv.DictReader(io.StringIO(text, newline="")), known)
    except csv.Error as error:
        raise PredictionError(f"the body is not valid CSV: {error}", 400) from error


def _rows(rows: csv.DictReader[str], known: Mapping[str, InputField]) -> list[dict[str, Any]]:
    wrong = [name for name in rows.fieldnames or [] if name not in known]
    if wrong or not rows.fieldnames:
        raise PredictionError(f"the first row must name inputs ({', '.join(known)}); found {wrong}", 400)
    found = []
    for row in rows:
        if None in row:
            raise PredictionError(f"line {rows.line_num} has more cells than the first row has names", 400)
        found.append({name: _cell(value, known[name]) for name, value in row.items() if value not in (None, "")})
    return found


def _cell(text: str, declared: InputField) -> Any:
    if "string" in declared.types:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _all(host: Host, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every prediction's ``{"output": ...}`` or ``{"error": ...}``, in order; slots limit the concurrency."""
    room = asyncio.Semaphore(host.slots)

    async def one(given: dict[str, Any]) -> dict[str, Any]:
        async with room:
            try:
                return {"output": await predict(host, given)}
            except PredictionError as error:
                return {"error": str(error)}

    return list(await asyncio.gather(*(one(given) for given in inputs)))


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _to_csv(rows: list[dict[str, Any]]) -> str:
    """Return CSV with the columns ``output`` and ``error``; values that are not text are JSON."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["output", "error"])
    for row in rows:
        output = row.get("output")
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        table.writerow(["" if "error" in row else text, row.get("error", "")])
    return written.getvalue()


def _line(host: Host, event: Output | Completed) -> bytes:
    line = {"output": event.chunk} if isinstance(event, Output) else {"end": ending(host, event.prediction)}
    return json.dumps(line).encode() + b"\n"

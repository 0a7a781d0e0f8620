"""Webhooks of Replicate, or of a pilotlight gateway: whether one is from whom it says, and a route that receives them.

from pilotlight.client.webhooks import Notice, webhook_route

async def done(notice: Notice) -> None:
    print(notice.id, notice.status, notice.output)

app = Starlette(routes=[webhook_route("/webhook", done, secret=os.environ["WEBHOOK_SECRET"])])
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.client.deliveries import Deliveries
from pilotlight.client.errors import understood
from pilotlight.client.targets.replicate import prediction_of
from pilotlight.errors import ConfigError, TargetError, WebhookError
from pilotlight.types import Status
from pilotlight.util.webhook_signing import sign

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

_LOG = logging.getLogger(__name__)

# A message older or newer than this may be a replay.
TOLERANCE_S = 300.0
# A prediction with its inputs and its output, which Replicate and the gateway send as URLs where they are files.
MAX_BYTES = 16 << 20
# Digits; there are three hundred thousand years with as many.
_LONGEST_STAMP = 13


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says of a prediction, as it stood when it was sent.

    Attributes:
        id: of the prediction.
        status: by then; a terminal one unless the webhook was asked for other events than ``completed``.
        output: so far.
        error: why it failed; ``None`` otherwise.
        logs: so far.
        metrics: numbers by name.
        webhook_id: of this message, the same for every try to deliver it.
        body: all that was sent: the inputs, the version, times and URLs too.
    """

    id: str
    status: Status
    output: Any
    error: str | None
    logs: str
    metrics: Mapping[str, Any]
    webhook_id: str
    body: Mapping[str, Any]


def webhook_route(
    path: str,
    callback: Callable[[Notice], Awaitable[None] | None],
    *,
    secret: str,
    tolerance_s: float = TOLERANCE_S,
    max_bytes: int = MAX_BYTES,
    name: str | None = None,
) -> Route:
    """A route for a Starlette (or FastAPI) application, which gives each webhook to ``callback`` once.

    It answers 200 when the callback has returned, or has returned before for a message with this id; 500 when it
    raised, so that the sender tries again; 401 for a signature that is not the secret's, or a message that is not of
    now; 400 for what is no webhook; 413 for one that is too large. Which messages were handled is remembered in this
    process alone: where several receive, or one is restarted, a callback can see one twice.

    Args:
        path: of the route.
        callback: takes the notice. An ``async`` function runs in the event loop, any other one on a thread. The sender
            waits for it (Replicate and the gateway for some seconds, then they send again): hand longer work on.
        secret: ``whsec_...``, from ``GET /v1/webhooks/default/secret``.
        tolerance_s: how far a message's time may be from now.
        max_bytes: of a body.
        name: of the route, for Starlette's ``url_path_for``.

    Raises:
        ConfigError: the secret is none, or Starlette is not installed.
    """
    sign(secret, "", "", b"")  # raises for one that is none, now instead of at the first message
    try:
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse
        from starlette.routing import Route
    except ImportError as error:
        raise ConfigError(f"webhook_route needs Starlette ({error}): pip install starlette") from error

    deliveries = Deliveries(callback)

    def answer(status: int, detail: str) -> Response:
        if status != 200:
            _LOG.warning("a webhook was answered %d: %s", status, detail)
        return JSONResponse({"detail": detail}, status)

    async def receive(request: Request) -> Response:
        try:
            body = await _body_of(request, max_bytes)
        except ClientDisconnect:
            return answer(400, "the sender has gone")
        if body is None:
            return answer(413, f"the body is larger than {max_bytes:,} bytes")
        try:
            parts = _parts_of(request.headers)
        except WebhookError as error:
            return answer(400, str(error))
        try:
            webhook_id = _verified(body, *parts, secret, now=time.time(), tolerance_s=tolerance_s)
        except WebhookError as error:
            return answer(401, str(error))
        try:
            notice = notice_from(webhook_id, body)
        except TargetError as error:
            return answer(400, str(error))
        try:
            first = await deliveries.deliver(notice)
        except Exception:  # noqa: BLE001 - whatever the callback runs into, the sender is to try again
            _LOG.exception("the callback failed for webhook %s; the sender will try again", webhook_id)
            return answer(500, "it could not be handled; send it again")
        return answer(200, "handled" if first else "handled before")

    return Route(path, receive, methods=["POST"], name=name)


async def _body_of(request: Request, max_bytes: int) -> bytes | None:
    """The body; ``None`` when it is larger, of which no more is read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            return None
    return bytes(body)


def notice_from(webhook_id: str, body: bytes) -> Notice:
    """What a message says, once it has been verified.

    Raises:
        TargetError: it is no prediction.
    """
    with understood(f"webhook {webhook_id}"):
        document = json.loads(body)
        found = prediction_of(document)
        return Notice(
            found.id, found.status, found.output, found.error, found.logs, found.metrics, webhook_id, document
        )


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """The message's id, the same for every try to deliver it: remember it to act once.

    Args:
        body: as it came, before anything has parsed it.
        headers: of the request, whatever the case of their names.
        secret: ``whsec_...``, from ``GET /v1/webhooks/default/secret``.
        now: seconds since 1970; the clock's by default.
        tolerance_s: how far its time may be from now.

    Raises:
        WebhookError: it is not to be trusted; says why.
        ConfigError: the secret is none.
    """
    parts = _parts_of(headers)
    return _verified(body, *parts, secret, now=time.time() if now is None else now, tolerance_s=tolerance_s)


def _parts_of(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """The message's id, its time as it was written, and its signatures.

    Raises:
        WebhookError: they are not there, or make no sense.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookError(f"the header {error} is missing") from None
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _LONGEST_STAMP):
        raise WebhookError(f"webhook-timestamp {stamp[:40]!r} is not a number of seconds")
    return message_id, stamp, signatures


def _verified(
    body: bytes, message_id: str, stamp: str, signatures: str, secret: str, *, now: float, tolerance_s: float
) -> str:
    if abs(now - int(stamp)) > tolerance_s:
        raise WebhookError(f"it was sent at {stamp}, more than {tolerance_s:g} s from now")
    expected = sign(secret, message_id, stamp, body).encode()
    found = [one.partition(",") for one in signatures.split()]
    if not any(version == "v1" and hmac.compare_digest(value.encode(), expected) for version, _, value in found):
        raise WebhookError("no signature is that of this key")
    return message_id

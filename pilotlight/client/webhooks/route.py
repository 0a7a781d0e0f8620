"""A Starlette route that receives the webhooks of Replicate or of a pilotlight gateway, each once.

from pilotlight.client.webhooks import Notice, webhook_route

async def done(notice: Notice) -> None:
    print(notice.id, notice.status, notice.output)

app = Starlette(routes=[webhook_route("/webhook", done, secret=os.environ["WEBHOOK_SECRET"])])
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.client.errors import understood
from pilotlight.client.targets.replicate import prediction_of
from pilotlight.client.webhooks.deliveries import Deliveries
from pilotlight.client.webhooks.verify import TOLERANCE_S, header_parts, verified
from pilotlight.errors import ConfigError, TargetError, WebhookError
from pilotlight.types import Status
from pilotlight.util.webhook_signing import sign

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

_LOG = logging.getLogger(__name__)

# A prediction with its inputs and its output, which Replicate and the gateway send as URLs where they are files.
MAX_BYTES = 16 << 20


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
            parts = header_parts(request.headers)
        except WebhookError as error:
            return answer(400, str(error))
        try:
            webhook_id = verified(body, *parts, secret, now=time.time(), tolerance_s=tolerance_s)
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

"""A Starlette route that receives webhooks of Replicate or a pilotlight gateway and handles each once.

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

from pilotlight.client.errors import parse_errors
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

# Allows for a prediction with inputs and output; Replicate and the gateway send files as URLs.
MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of a webhook: a prediction's state when the webhook was sent.

    Attributes:
        id: the prediction's id.
        status: a terminal status, unless the webhook subscribes to events other than ``completed``.
        output: the output so far.
        error: the failure's message; ``None`` otherwise.
        logs: the logs so far.
        metrics: values by name.
        webhook_id: the message's id, the same for every delivery attempt.
        body: the whole JSON body, including inputs, version, times and URLs.
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
    """Return a route for a Starlette (or FastAPI) application that passes each webhook to ``callback`` once.

    The route answers 200 when the callback has returned, now or before for the same message id; 500 when it raised, so
    that the sender tries again; 401 for a wrong signature or a timestamp too far from now; 400 for a body that is not a
    webhook; 413 for a body that is too large. Handled ids are remembered in this process only: with several receivers,
    or after a restart, a callback can receive a message twice.

    Args:
        path: of the route.
        callback: takes the notice. An ``async`` function runs in the event loop, any other one on a thread. The sender
            waits for it (Replicate and the gateway for some seconds, then they send again): run longer work elsewhere.
        secret: ``whsec_...``, from ``GET /v1/webhooks/default/secret``.
        tolerance_s: largest accepted difference in seconds between a message's timestamp and now.
        max_bytes: largest accepted body in bytes.
        name: of the route, for Starlette's ``url_path_for``.

    Raises:
        ConfigError: the secret is not a webhook secret, or Starlette is not installed.
    """
    sign(secret, "", "", b"")  # raises for an invalid secret, before the first message arrives
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
            return answer(400, "the sender disconnected")
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
        except Exception:  # noqa: BLE001 - after any failure of the callback, the sender is to try again
            _LOG.exception("the callback failed for webhook %s; the sender will try again", webhook_id)
            return answer(500, "the callback failed; send the message again")
        return answer(200, "handled" if first else "handled before")

    return Route(path, receive, methods=["POST"], name=name)


async def _body_of(request: Request, max_bytes: int) -> bytes | None:
    """Read the body; return ``None`` as soon as it is larger than ``max_bytes``."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            return None
    return bytes(body)


def notice_from(webhook_id: str, body: bytes) -> Notice:
    """Return the notice in the body of a verified message.

    Raises:
        TargetError: the body is not a prediction.
    """
    with parse_errors(f"webhook {webhook_id}"):
        document = json.loads(body)
        found = prediction_of(document)
        return Notice(
            found.id, found.status, found.output, found.error, found.logs, found.metrics, webhook_id, document
        )

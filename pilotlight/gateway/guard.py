"""What stands before every route: who may ask, from where, and how much they may send.

Without a token only callers on this machine can reach the gateway, and then the danger is a web page that this
machine's browser has open: it could send requests to a loopback address. So the name in ``Host`` has to be one of this
machine (a page cannot change that, also when it lets its own name resolve to 127.0.0.1), and a body has to be declared
as what it is, which a page can do only after asking for permission, which is never given: there is no CORS.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilotlight.gateway.problems import ProblemError

# How it is, for load balancers; and a stream and a file, whose URLs hold a secret of their own.
_OPEN = re.compile(r"/health|/v1/predictions/[^/]+/stream/[^/]+|/v1/files/[^/]+/[^/]+/[^/]+")
_UPLOADS = "/v1/files"

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard:
    """Middleware.

    Args:
        app: what it guards.
        token: what callers must show as a bearer; ``None`` for none.
        hosts: the names under which it may be asked; ``None`` for any.
        max_body_bytes: of one request.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None, max_body_bytes: int) -> None:
        self._app = app
        self._digest = None if token is None else _digest(token)
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._check(request)
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _check(self, request: Request) -> None:
        host = re.sub(r":\d*$", "", request.headers.get("host", "")).lower()
        if self._hosts is not None and host not in self._hosts:
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This gateway is not {host[:100]!r}: ask for it as {' or '.join(sorted(self._hosts))}, "
                "or start it with a token.",
            )
        if self._digest is not None and not _OPEN.fullmatch(request.url.path):
            self._check_token(request.headers.get("authorization", ""))
        if request.method == "POST":
            self._check_body(request)

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        # Of digests, so that not even the length of the token can be learned from the time that it takes.
        right = hmac.compare_digest(_digest(given.strip()), self._digest or b"")
        if scheme.lower() not in ("bearer", "token") or not right:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Send the token that this gateway was started with, as Authorization: Bearer TOKEN.",
                title="Unauthenticated",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _check_body(self, request: Request) -> None:
        length = request.headers.get("content-length")
        if length is not None and int(length) > self._max_body_bytes:
            raise self._too_large()
        sent = "transfer-encoding" in request.headers or length not in (None, "0")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page may send a form without asking, but not with this header, which every client of Replicate's sends.
        form = request.url.path == _UPLOADS and kind == "multipart/form-data" and "authorization" in request.headers
        if sent and kind != "application/json" and not form:
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type {kind[:100]!r}: send the body as application/json, and say so. "
                "(An upload is multipart/form-data with an Authorization header, whatever it holds.)",
            )

    def _counted(self, receive: Receive) -> Receive:
        """A body may be longer than it says, or not say."""
        received_bytes = 0

        async def count() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self._max_body_bytes:
                raise self._too_large()
            return message

        return count

    def _too_large(self) -> ProblemError:
        return ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than the {self._max_body_bytes:,} bytes that this gateway takes.",
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

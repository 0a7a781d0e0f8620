"""What stands before every route: who may ask, from where, and how much they may send.

Without a token only callers on this machine can reach the gateway, and then the danger is a web page that this
machine's browser has open: it could send requests to a loopback address. So the name in ``Host`` has to be one of this
machine (a page cannot change that, also when it lets its own name resolve to 127.0.0.1), and a body has to be declared
as what it is, which a page can do only after asking for permission, which is never given: there is no CORS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from pilotlight.gateway.api.errors import ProblemError, respond
from pilotlight.gateway.api.rate_limit import Buckets, Rate
from pilotlight.gateway.api.tokens import Scope, Tokens
from pilotlight.gateway.clock import Clock

# The page, which asks for a token itself; how it is, for load balancers; and a stream and a file, whose URLs hold a
# secret of their own.
_OPEN = re.compile(
    r"/|/page/(style\.css|script\.js)|(/openai)?/health|/v1/predictions/[^/]+/stream/[^/]+|/v1/files/[^/]+/[^/]+/[^/]+"
)
_UPLOADS = "/v1/files"
_PORT = re.compile(r":\d*$")
_SERVED = re.compile(r"/v1/(models|deployments)(/[^/]+/[^/]+(/versions(/[^/]+)?)?)?/?")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class SecurityMiddleware:
    """Middleware.

    Args:
        app: what it guards.
        tokens: of which callers must show one as a bearer; ``None`` for everyone.
        hosts: the names under which it may be asked; ``None`` for any.
        max_body_bytes: of one request.
        rate: how often each token may ask, or each address where there are none; ``None`` for any number.
        clock: seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Tokens | None,
        hosts: Collection[str] | None,
        max_body_bytes: int,
        rate: Rate | None,
        clock: Clock,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes
        self._buckets = None if rate is None else Buckets(rate)
        self._clock = clock

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._check(request)
        except ProblemError as problem:
            await respond(request.url.path, problem)(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _check(self, request: Request) -> None:
        host = _PORT.sub("", request.headers.get("host", "")).lower()
        if self._hosts is not None and host not in self._hosts:
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This gateway is not {host[:100]!r}: ask for it as {' or '.join(sorted(self._hosts))}, "
                "or start it with a token.",
            )
        if not _OPEN.fullmatch(request.scope["path"]):
            self._check_rate(self._caller(request))
        if request.method == "POST":
            self._check_body(request)

    def _caller(self, request: Request) -> str:
        """Whose request it is: the id of its token, or its address where there are no tokens."""
        if self._tokens is None:
            return request.client.host if request.client else ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.find(given.strip()) if scheme.lower() in ("bearer", "token") else None
        if token is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Send a token of this gateway, as Authorization: Bearer TOKEN.",
                title="Unauthenticated",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if token.scope is not Scope.ADMIN and changes_what_is_served(request.method, request.scope["path"]):
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"The token {token.name!r} is for predictions; this needs one of the scope {Scope.ADMIN}.",
            )
        return token.id

    def _check_rate(self, caller: str) -> None:
        early_s = 0.0 if self._buckets is None else self._buckets.take(caller, self._clock())
        if early_s > 0:
            seconds = math.ceil(early_s)
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Request was throttled. Expected available in {seconds} second{'s' if seconds > 1 else ''}.",
                headers={"Retry-After": str(seconds)},
            )

    def _check_body(self, request: Request) -> None:
        length = request.headers.get("content-length")
        if length is not None and int(length) > self._max_body_bytes:
            raise self._too_large()
        sent = "transfer-encoding" in request.headers or length not in (None, "0")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page may send a form without asking, but not with this header, which every client of Replicate's sends.
        form = (
            request.scope["path"] == _UPLOADS and kind == "multipart/form-data" and "authorization" in request.headers
        )
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


def changes_what_is_served(method: str, path: str) -> bool:
    """Whether a request makes, changes or deletes a model, a version or a deployment."""
    return method in ("POST", "PUT", "PATCH", "DELETE") and _SERVED.fullmatch(path) is not None

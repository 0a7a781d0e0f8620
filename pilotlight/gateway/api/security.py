"""The checks before every route: who may call it, under which name of the gateway, how often, and with which body.

All of them look at the declaration of the route that the router has found, and that the router will run.

Without tokens only callers on this machine can reach the gateway. The danger is then a web page in a browser on this
machine, which can send requests to a loopback address. So the name in ``Host`` has to be one of this machine: a page
cannot change it, even where its own name resolves to 127.0.0.1. A request that may change something has to come from
the gateway's own page or from a program, by the headers ``Origin`` and ``Sec-Fetch-Site``, which browsers set and
programs do not. And a route that takes JSON has to be called with that content type, also without a body, for which a
browser asks the gateway's permission first (CORS); the gateway never gives it.

Where a token is needed, no page can send it: the browser does not keep it, and a header needs that permission too.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from pilotlight.errors import StoreError
from pilotlight.gateway.api.bodies import check_encoding, read_body, too_large
from pilotlight.gateway.api.errors import ApiError, bad_request, respond
from pilotlight.gateway.api.proxies import TrustedProxies
from pilotlight.gateway.api.rate_limit import Buckets, Rate
from pilotlight.gateway.api.routing import JSON, MatchingRouter, RouteSpec
from pilotlight.gateway.api.tokens import Caller, Token, Tokens
from pilotlight.gateway.clock import Clock

_log = logging.getLogger(__name__)

_PORT = re.compile(r":\d*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORM = "multipart/form-data"
_READING = ("GET", "HEAD", "OPTIONS")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class SecurityMiddleware:
    """Refuses requests before their handler runs.

    Args:
        app: the application behind it, with ``router`` inside.
        router: finds the route of a request.
        tokens: one of which a caller has to send as a bearer token; ``None`` where no token is needed.
        hosts: the names under which the gateway may be called; ``None`` for any.
        max_body_bytes: the largest body of a request.
        rate: how often each token may call, or each address where there are no tokens; ``None`` for no limit.
        clock: returns seconds.
        proxies: whose word on a caller's address, scheme and host is believed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        router: MatchingRouter,
        tokens: Tokens | None,
        hosts: Collection[str] | None,
        max_body_bytes: int,
        rate: Rate | None,
        clock: Clock,
        proxies: TrustedProxies,
    ) -> None:
        self._app = app
        self._router = router
        self._tokens = tokens
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes
        self._buckets = None if rate is None else Buckets(rate)
        self._clock = clock
        self._proxies = proxies

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._proxies.resolve(scope)
        if not scope["path"]:  # the prefix alone, from which the links of the page would lead elsewhere
            await RedirectResponse(f"{scope['root_path']}/")(scope, receive, send)
            return
        request = Request(scope)
        try:
            _check_path(scope["path"])
            self._check_host(request)
            self._check_origin(request)
            route = self._router.match(scope)
            scope["caller"] = self._check_caller(request, route)
            check_encoding(_encoding(request))
            self._check_body(request, route)
        except ApiError as error:
            await respond(scope["path"], error)(scope, receive, send)
            return
        encoding = _encoding(request)
        await self._app(scope, read_body(receive, encoding, self._max_body_bytes), send)

    def _check_host(self, request: Request) -> None:
        host = _PORT.sub("", request.headers.get("host", "")).lower()
        if self._hosts is not None and host not in self._hosts:
            raise ApiError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This gateway is not {host[:100]!r}: call it as {' or '.join(sorted(self._hosts))}, "
                "or start it with a token.",
            )

    def _check_origin(self, request: Request) -> None:
        """Refuse what a page of another origin sends, where no token shows that the caller knows it."""
        if self._tokens is not None or request.method in _READING:
            return
        site = request.headers.get("sec-fetch-site", "none").lower()
        origin = request.headers.get("origin")
        if site in ("same-origin", "none") and (origin is None or _is_own(origin, request.headers.get("host", ""))):
            return
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            f"This request was sent by a page of {(origin or 'another origin')[:100]!r}: this gateway, which asks for "
            "no token, takes requests from programs and from its own page only.",
        )

    def _check_caller(self, request: Request, route: RouteSpec | None) -> Caller | None:
        """Check the token, its scope and the rate; return ``None`` where a token is needed, but not for this route.

        A path without a route needs a token of any scope.
        """
        is_open = route is not None and route.scope is None
        if self._tokens is None:
            if not is_open:
                self._check_rate(request.client.host if request.client else "")
            return Caller()
        if is_open:
            return None
        token = self._token(request, self._tokens)
        _check_scope(token, route)
        self._check_rate(token.id)
        return Caller(token.id, token.scope)

    def _token(self, request: Request, tokens: Tokens) -> Token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            token = tokens.find(given.strip()) if scheme.lower() in ("bearer", "token") else None
        except StoreError as error:
            # The caller is not known: what is wrong, and in which file, is for the log.
            _log.error("%s", error)
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The gateway cannot read its tokens; its log says why.",
                headers={"Retry-After": "5"},
            ) from None
        if token is None:
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                f"You did not pass {'a valid' if given else 'an'} authentication token: "
                "send one as Authorization: Bearer TOKEN; `pilotlight token create NAME` makes one.",
                title="Unauthenticated",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return token

    def _check_rate(self, caller: str) -> None:
        early_s = 0.0 if self._buckets is None else self._buckets.take(caller, self._clock())
        if early_s > 0:
            seconds = math.ceil(early_s)
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Request was throttled. Expected available in {seconds} second{'s' if seconds > 1 else ''}.",
                headers={"Retry-After": str(seconds)},
            )

    def _check_body(self, request: Request, route: RouteSpec | None) -> None:
        if request.method != "POST":
            return
        length = request.headers.get("content-length")
        if length is not None and int(length) > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        sent = "transfer-encoding" in request.headers or length not in (None, "0")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page may send a form without asking, but not with this header, which every client of Replicate's sends.
        form = route is not None and _FORM in route.takes and "authorization" in request.headers
        # A page may send an empty request without asking, and a route with defaults for all inputs would run it.
        takes_json = route is not None and route.body is not None
        if (sent or takes_json) and kind != JSON and not (form and kind == _FORM):
            raise ApiError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type {kind[:100]!r}: send the body as application/json with that Content-Type. "
                "(An upload is multipart/form-data with an Authorization header, whatever its value.)",
            )


def _encoding(request: Request) -> str:
    return request.headers.get("content-encoding", "").strip().lower()


def _is_own(origin: str, host: str) -> bool:
    """Return whether ``origin`` is that of a page of this gateway, which was called as ``host``."""
    scheme, _, address = origin.lower().partition("://")
    return scheme in ("http", "https") and address == host.lower()


def _check_path(path: str) -> None:
    found = _CONTROL.search(path)
    if found is not None:
        raise bad_request(f"The path holds the control character U+{ord(found[0]):04X}, which no route has: remove it.")


def _check_scope(token: Token, route: RouteSpec | None) -> None:
    if route is None or route.scope is None or token.scope.includes(route.scope):
        return
    raise ApiError(
        HTTPStatus.FORBIDDEN,
        f"The token {token.name!r} has the scope {token.scope}, but {route.label} needs {route.scope}: "
        f"`pilotlight token create NAME --scope {route.scope}` makes one.",
    )

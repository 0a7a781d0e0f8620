"""How a route is declared: once, with a decorator at its handler.

```
ROUTES = Routes("Models")

@ROUTES.add("GET", "/v1/models", scope=Scope.READ, summary="List the models.", answers={200: as_json(page_of(MODEL))})
async def list_models(request: Request) -> Response: ...

@ROUTES.add_with_body("POST", "/v1/models", ModelBody, scope=Scope.ADMIN, summary="Create a model.", answers=...)
async def create_model(request: Request, body: ModelBody) -> Response: ...
```

Everything else is derived from the declarations: the routes of the application, the scope that ``SecurityMiddleware``
checks, the OpenAPI document, the list on the page, and docs/reference/http.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar, Unpack

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from pilotlight.gateway.api.openapi_schemas import EVENT, TEXT, Schema
from pilotlight.gateway.api.request import parse
from pilotlight.gateway.api.tokens import Scope

Handler = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body", bound=BaseModel)
BodyHandler = Callable[[Request, Body], Awaitable[Response]]

# The schema of a body or an answer, by content type.
Content = dict[str, Schema]

JSON = "application/json"
EVENTS: Content = {"text/event-stream": EVENT}
PLAIN: Content = {"text/plain": TEXT}
BYTES: Content = {"*/*": TEXT}
EMPTY: Content = {}

# The scope of a route that needs no token.
OPEN = None


def as_json(schema: Schema) -> Content:
    """Return the content of a JSON answer."""
    return {JSON: schema}


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route: a method of a path.

    Attributes:
        method: of HTTP; a GET route answers HEAD too.
        path: with parameters in braces.
        group: the heading under which it is listed.
        endpoint: answers a request.
        scope: what a token has to allow; ``OPEN`` where none is needed.
        summary: what it does, in one sentence.
        answers: what it answers when all is well, by status.
        errors: the statuses of the errors that are its own, beside those that follow from the rest.
        body: the model that reads its JSON body.
        takes: the content of a body that no model reads.
        parameters: those in the query and in headers, as OpenAPI writes them.
        documented: whether programs use it; the page's own files are not in the OpenAPI document.
    """

    method: str
    path: str
    group: str
    endpoint: Handler
    scope: Scope | None
    summary: str
    answers: Mapping[int, Content]
    errors: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    takes: Mapping[str, Schema] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()
    documented: bool = True

    @property
    def plain_path(self) -> str:
        """Return the path without the types of its parameters."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def label(self) -> str:
        """``METHOD /path``."""
        return f"{self.method} {self.plain_path}"

    @property
    def path_parameters(self) -> list[str]:
        """Return the names of the parameters in the path."""
        return re.findall(r"{(\w+)}", self.plain_path)


def by_group(routes: Iterable[RouteSpec]) -> dict[str, list[RouteSpec]]:
    """Return the routes that programs use, by the heading under which they are listed."""
    groups: dict[str, list[RouteSpec]] = {}
    for route in routes:
        if route.documented:
            groups.setdefault(route.group, []).append(route)
    return groups


class _Options(TypedDict, total=False):
    """The fields of a ``RouteSpec`` that have a default."""

    errors: tuple[int, ...]
    takes: Content
    parameters: tuple[Schema, ...]
    documented: bool


class Routes:
    """The routes of one module, in the order of their declaration.

    Args:
        group: the heading under which they are listed.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._specs: list[RouteSpec] = []

    @property
    def specs(self) -> tuple[RouteSpec, ...]:
        """Return what was declared."""
        return tuple(self._specs)

    def add(
        self,
        method: str,
        path: str,
        *,
        scope: Scope | None,
        summary: str,
        answers: Mapping[int, Content],
        **options: Unpack[_Options],
    ) -> Callable[[Handler], Handler]:
        """Declare a route whose handler reads the request itself."""

        def declare(handler: Handler) -> Handler:
            self._specs.append(RouteSpec(method, path, self._group, handler, scope, summary, answers, **options))
            return handler

        return declare

    def add_with_body(
        self,
        method: str,
        path: str,
        body: type[Body],
        *,
        scope: Scope | None,
        summary: str,
        answers: Mapping[int, Content],
        **options: Unpack[_Options],
    ) -> Callable[[BodyHandler[Body]], BodyHandler[Body]]:
        """Declare a route whose handler is given the JSON body, read by the model ``body``."""

        def declare(handler: BodyHandler[Body]) -> BodyHandler[Body]:
            async def endpoint(request: Request) -> Response:
                return await handler(request, parse(await request.body(), body))

            self._specs.append(
                RouteSpec(method, path, self._group, endpoint, scope, summary, answers, body=body, **options)
            )
            return handler

        return declare


class SpecRoute(Route):
    """A route of Starlette's that knows its declaration."""

    def __init__(self, spec: RouteSpec) -> None:
        super().__init__(spec.path, spec.endpoint, methods=[spec.method], name=spec.label)
        self.spec = spec


class MatchingRouter(Router):
    """A router that finds the route of a request once, for the middleware and for itself.

    ``match`` runs first and stores the route in the connection's scope. Whatever the middleware has checked about
    that route holds for the handler that runs, because the path is not read a second time.
    """

    def __init__(self, specs: Iterable[RouteSpec]) -> None:
        routes = [SpecRoute(spec) for spec in specs]
        super().__init__(routes)
        # Paths without parameters are looked up; those with parameters are tried in order.
        self._fixed: dict[str, dict[str, SpecRoute]] = {}
        self._patterns: dict[re.Pattern[str], dict[str, SpecRoute]] = {}
        for route in routes:
            methods = (
                self._patterns.setdefault(route.path_regex, {})
                if route.param_convertors
                else self._fixed.setdefault(route.path, {})
            )
            for method in route.methods or ():
                assert method not in methods, f"this is a bug: {route.spec.label} is declared twice"
                methods[method] = route

    @property
    def specs(self) -> tuple[RouteSpec, ...]:
        """Return the declarations of all routes."""
        return tuple(route.spec for route in self.routes if isinstance(route, SpecRoute))

    def match(self, connection: Connection) -> RouteSpec | None:
        """Store the route of a request in its scope, and return its declaration; ``None`` where there is no route."""
        methods, parameters = self._find(connection["path"])
        route = methods.get(connection["method"])
        connection.update(route=route, path_params=parameters)
        return None if route is None else route.spec

    async def app(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Hand the request to the route that ``match`` has stored."""
        if scope["type"] != "http":
            await super().app(scope, receive, send)
            return
        route: SpecRoute | None = scope["route"]
        if route is None:
            await self._unmatched(scope)(scope, receive, send)
        else:
            scope["endpoint"] = route.endpoint
            await route.app(scope, receive, send)

    def _find(self, path: str) -> tuple[Mapping[str, SpecRoute], dict[str, str]]:
        """Return the routes of a path by method, and the parameters in it."""
        if (methods := self._fixed.get(path)) is not None:
            return methods, {}
        for pattern, methods in self._patterns.items():
            # A parameter that takes slashes would also take nothing, and hide the route without it.
            if (found := pattern.fullmatch(path)) is not None and all(found.groups()):
                return methods, found.groupdict()
        return {}, {}

    def _unmatched(self, connection: Connection) -> Response:
        """Return a redirect where only a slash at the end is too much.

        Raises:
            HTTPException: 404 or 405.
        """
        method, path = connection["method"], connection["path"]
        methods, _ = self._find(path)
        if methods:
            allowed = ", ".join(sorted(methods))
            raise HTTPException(405, f"{path[:140]} takes {allowed}, not {method}.", headers={"Allow": allowed})
        shorter = path.rstrip("/")
        if self._find(shorter)[0]:
            query = connection.get("query_string", b"").decode("latin-1")
            return RedirectResponse(f"{connection.get('root_path', '')}{shorter}{f'?{query}' if query else ''}")
        raise HTTPException(404, f"There is no route {path[:140]} here: GET /openapi.json describes those there are.")

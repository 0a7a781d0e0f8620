"""The page of all HTTP routes, ``docs/reference/http.md``, made from their declarations."""

from __future__ import annotations

import json

from pydantic import BaseModel

from pilotlight.gateway.api.openapi_schemas import Schema
from pilotlight.gateway.api.routing import RouteSpec
from pilotlight.gateway.app import ROUTES

_HEAD = """\
<!-- Generated from the declarations beside the handlers in pilotlight/gateway; change them there. -->
# HTTP routes

Every route of `pilotlight gateway`. `GET /openapi.json` of a running gateway describes the same routes for programs.

**Scope** is what a token has to allow, where the gateway asks for one: `read`, `predict` (the routes of `read`, too) or
`admin` (all routes). A token of the scope `predict` finds only its own predictions and uploads there, and 404 for those
of others. `open` needs no token. `pilotlight token create NAME --scope SCOPE` makes a token; it is sent as
`Authorization: Bearer TOKEN`.

**Errors** are objects with `title`, `detail` and `status` (RFC 9457, `application/problem+json`); under `/openai/` they
have the shape of OpenAI's errors. `detail` says what was given and what was expected. Beside the errors in the
tables, a route may answer:

- 400 where the path holds a control character, or the body is not JSON;
- 401 without a token of this gateway, 403 with a token of too narrow a scope;
- 413 and 415 for a body that is too large, or not sent with its content type;
- 421 under a name that is not this machine's, where no token is needed;
- 429 when too many predictions wait, or above `--rate-limit`; `Retry-After` holds the seconds to wait;
- 503 while the gateway starts or stops.

Fields of a body in **bold** are required.
"""


def http_reference() -> str:
    """Return the page."""
    groups = dict.fromkeys(route.group for route in ROUTES)
    return "\n".join([_HEAD, *(_group(group, [one for one in ROUTES if one.group == group]) for group in groups)])


def _group(name: str, routes: list[RouteSpec]) -> str:
    head = "| Route | Scope | What it does | Answers | Errors |\n| --- | --- | --- | --- | --- |\n"
    return f"## {name}\n\n{head}{''.join(map(_row, routes))}{''.join(map(_details, routes))}"


def _row(route: RouteSpec) -> str:
    errors = {*route.errors, *([422] if route.body is not None else [])} - route.answers.keys()
    numbers = (", ".join(map(str, sorted(one))) for one in (route.answers, errors))
    return f"| `{route.label}` | {route.scope or 'open'} | {_cell(route.summary)} | {' | '.join(numbers)} |\n"


def _details(route: RouteSpec) -> str:
    """Return a section on the body and the parameters of a route; empty where it has none."""
    lines = [] if route.body is None else [f"- body: {_fields(route.body)}"]
    lines += [f"- body: {kind}{_members(schema)}" for kind, schema in route.takes.items()]
    lines += [
        f"- {'header' if one['in'] == 'header' else 'parameter'} `{one['name']}`: {one['description']}"
        for one in route.parameters
    ]
    return f"\n### `{route.label}`\n\n" + "\n".join(lines) + "\n" if lines else ""


def _fields(body: type[BaseModel]) -> str:
    """Return the fields of a JSON body, the required ones in bold."""
    schema = body.model_json_schema()
    shown = []
    for name, one in schema["properties"].items():
        required = name in schema.get("required", ())
        shown.append(f"{'**' if required else ''}`{name}`{'**' if required else ''} ({_type(one)})")
    more = ", and any input of the model" if schema.get("additionalProperties") else ""
    return _cell(", ".join(shown)) + more


def _members(schema: Schema) -> str:
    members = schema.get("properties", {})
    return f" with {', '.join(f'`{name}`' for name in members)}" if members else ""


def _type(schema: Schema) -> str:
    """Return a JSON schema in a few words."""
    if "anyOf" in schema:
        kinds = [_type(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return " or ".join(json.dumps(one) for one in schema["enum"])
    if "$ref" in schema:
        return "object"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join([schema.get("type", "anything"), *bounds])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""The OpenAPI document of a predictor, in the shape that Cog's build tool writes (``pkg/schema/openapi_spec.go``).

A pure function of the signatures; coglet reads the result for validation, so the shape is not ours to choose.
"""

from __future__ import annotations

from typing import Any, TypedDict

Schema = dict[str, Any]


class Input(TypedDict):
    """One parameter of a handler.

    ``schema`` is its type without its limits; ``default_given`` tells ``default=None`` from no default at all.
    """

    name: str
    schema: Schema
    nullable: bool
    default_given: bool
    default: Any
    description: str | None
    ge: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    regex: str | None
    choices: list[Any] | None
    deprecated: bool
    accept: str | None


class Signature(TypedDict):
    """One handler: ``streaming`` where ``@cog.streaming`` marks it, ``output`` as a schema."""

    inputs: list[Input]
    output: Schema
    streaming: bool


class _Words(TypedDict):
    """What differs between the two kinds of handler."""

    verb: str
    noun: str
    summary: str
    prefix: str


_PREDICT: _Words = {"verb": "predict", "noun": "prediction", "summary": "Predict", "prefix": ""}
_TRAIN: _Words = {"verb": "train", "noun": "training", "summary": "Train", "prefix": "Training"}
_ERROR = {"$ref": "#/components/schemas/HTTPValidationError"}


def document(predict: Signature, train: Signature | None, *, cog_version: str) -> Schema:
    """The document of a project; where it can train, the parts of both handlers, the predicting one's first."""
    result = _document(predict, _PREDICT, cog_version)
    if train is not None:
        other = _document(train, _TRAIN, cog_version)
        result["paths"] = _joined(result["paths"], other["paths"])
        schemas = _joined(result["components"]["schemas"], other["components"]["schemas"])
        result["components"] = {"schemas": schemas}
    return result


def streaming_everywhere(document: Schema) -> Schema:
    """A copy whose predictions may be asked for as server-sent events, whatever the handler is marked with."""
    paths = document["paths"]
    operation = {**paths["/predictions"]["post"], "x-cog-streaming": True}
    return {**document, "paths": {**paths, "/predictions": {"post": operation}}}


def _joined(first: Schema, second: Schema) -> Schema:
    return {**first, **{key: value for key, value in second.items() if key not in first}}


def _document(signature: Signature, words: _Words, cog_version: str) -> Schema:
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": cog_version},
        "paths": _paths(signature, words),
        "components": {"schemas": _components(signature, words)},
    }


def _components(signature: Signature, words: _Words) -> Schema:
    input_name, output_name = f"{words['prefix']}Input", f"{words['prefix']}Output"
    noun = words["noun"].title()
    ends = {"input": {"$ref": f"#/components/schemas/{input_name}"}}
    request = {"id": {"title": "Id", "type": "string"}, **ends}
    response = {
        **ends,
        "output": {"$ref": f"#/components/schemas/{output_name}"},
        **{name: _text(name) for name in ("id", "version")},
        **{name: _text(name, format="date-time") for name in ("created_at", "started_at", "completed_at")},
        **{name: _text(name) for name in ("status", "error", "logs")},
        "metrics": {"title": "Metrics", "type": "object"},
    }
    return {
        input_name: {"title": input_name, **_inputs(signature["inputs"])},
        output_name: {**signature["output"], "title": "Output"},
        **{item["name"]: _enumeration(item) for item in signature["inputs"] if item["choices"]},
        f"{noun}Request": {"title": f"{noun}Request", "type": "object", "properties": request},
        f"{noun}Response": {"title": f"{noun}Response", "type": "object", "properties": response},
        "Status": {
            "title": "Status",
            "description": "An enumeration.",
            "enum": ["starting", "processing", "succeeded", "canceled", "failed"],
            "type": "string",
        },
        **_error_components(),
    }


def _error_components() -> Schema:
    place = {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}
    detail = {"title": "Detail", "type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}}
    return {
        "HTTPValidationError": {"title": "HTTPValidationError", "type": "object", "properties": {"detail": detail}},
        "ValidationError": {
            "title": "ValidationError",
            "required": ["loc", "msg", "type"],
            "type": "object",
            "properties": {
                "loc": place,
                "msg": {"title": "Message", "type": "string"},
                "type": {"title": "Error Type", "type": "string"},
            },
        },
    }


def _text(name: str, **more: str) -> Schema:
    return {"title": _title(name), "type": "string", **more}


def _title(name: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _inputs(inputs: list[Input]) -> Schema:
    result: Schema = {
        "type": "object",
        "properties": {item["name"]: _property(order, item) for order, item in enumerate(inputs)},
    }
    required = [item["name"] for item in inputs if is_required(item)]
    return {**result, "required": required} if required else result


def _property(order: int, item: Input) -> Schema:
    result: Schema = {"x-order": order}
    if item["choices"]:
        result["allOf"] = [{"$ref": f"#/components/schemas/{item['name']}"}]
    else:
        result |= {"title": _title(item["name"]), **item["schema"]}
    if _has_default(item):
        result["default"] = item["default"]
    if _is_nullable(item):
        result["nullable"] = True
    limits = {
        "description": item["description"],
        "minimum": item["ge"],
        "maximum": item["le"],
        "minLength": item["min_length"],
        "maxLength": item["max_length"],
        "pattern": item["regex"],
        "deprecated": item["deprecated"] or None,
        "x-cog-accept": item["accept"],
    }
    return result | {key: value for key, value in limits.items() if value is not None}


def _is_nullable(item: Input) -> bool:
    """Optional, or a secret that defaults to None: a widespread way to write an optional credential."""
    no_secret = item["schema"].get("x-cog-secret") and item["default_given"] and item["default"] is None
    return item["nullable"] or bool(no_secret)


def _has_default(item: Input) -> bool:
    """Whether it can be left out; None on a type that does not allow it says "must be given", as in ``seed: int``."""
    return item["default_given"] and (item["default"] is not None or _is_nullable(item))


def is_required(item: Input) -> bool:
    """Whether a prediction has to give it."""
    return not _has_default(item) and ("anyOf" in item["schema"] or not item["nullable"])


def _enumeration(item: Input) -> Schema:
    of = item["schema"].get("items", item["schema"])
    return {"title": item["name"], "description": "An enumeration.", "enum": item["choices"], "type": of["type"]}


def _paths(signature: Signature, words: _Words) -> Schema:
    verb, noun = words["verb"], words["noun"]
    operation: Schema = {
        "summary": words["summary"],
        "description": f"Run a single {noun} on the model",
        "operationId": f"{verb}_{noun}s_post",
        "requestBody": _json_body({"$ref": f"#/components/schemas/{noun.title()}Request"}),
        "responses": _responses({"$ref": f"#/components/schemas/{noun.title()}Response"}, may_be_invalid=True),
    }
    if words is _PREDICT and signature["streaming"]:
        operation["x-cog-streaming"] = True
    parameter = f"{noun}_id"
    cancel = {
        "summary": "Cancel",
        "operationId": f"cancel_{noun}s__{parameter}__cancel_post",
        "parameters": [
            {
                "required": True,
                "schema": {"title": _title(parameter), "type": "string"},
                "name": parameter,
                "in": "path",
            }
        ],
        "responses": _responses({}, may_be_invalid=True),
    }
    root = {"summary": "Root", "operationId": "root__get", "responses": _responses({})}
    health = {"summary": "Healthcheck", "operationId": "healthcheck_health_check_get", "responses": _responses({})}
    return {
        "/": {"get": root},
        "/health-check": {"get": health},
        f"/{noun}s": {"post": operation},
        f"/{noun}s/{{{parameter}}}/cancel": {"post": cancel},
    }


def _json_body(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _responses(success: Schema, *, may_be_invalid: bool = False) -> Schema:
    result = {"200": {"description": "Successful Response", **_json_body(success)}}
    if may_be_invalid:
        result["422"] = {"description": "Validation Error", **_json_body(_ERROR)}
    return result

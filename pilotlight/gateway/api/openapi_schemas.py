"""The JSON schemas of answers; ``replicate.schemas``, ``openai.schemas`` and ``plain`` make the objects."""

from __future__ import annotations

from typing import Any

from pilotlight.types import Status

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY: Schema = {}
FREE: Schema = {"type": "object"}


# One event of a stream.
EVENT: Schema = {"type": "object", "properties": {"event": TEXT, "id": TEXT, "data": TEXT}}


def ref(name: str) -> Schema:
    """Return a reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def record(optional: Schema | None = None, /, **members: Schema) -> Schema:
    """Return the schema of an object with these members, with or without the optional ones, and with no others."""
    return {
        "type": "object",
        "properties": {**members, **(optional or {})},
        "required": list(members),
        "additionalProperties": False,
    }


def page_of(schema: Schema) -> Schema:
    """Return the schema of one page of a list."""
    return record(previous=nullable(TEXT), next=nullable(TEXT), results=list_of(schema))


_STATUS: Schema = {"type": "string", "enum": [status.value for status in Status]}
_MISTAKE = record(loc=list_of(TEXT), msg=TEXT, type=TEXT)

SCHEMAS: dict[str, Schema] = {
    "Problem": record(
        {"invalid_fields": list_of(record(type=TEXT, field=TEXT, description=TEXT)), "param": TEXT, "code": TEXT},
        title=TEXT,
        detail=TEXT,
        status={"type": "integer"},
    ),
    "Prediction": record(
        {"deployment": TEXT, "deadline": TIME, "left_out": list_of(TEXT)},
        id=TEXT,
        model=TEXT,
        version=TEXT,
        input=FREE,
        output=ANY,
        logs=TEXT,
        error=nullable(TEXT),
        status=_STATUS,
        created_at=TIME,
        started_at=nullable(TIME),
        completed_at=nullable(TIME),
        metrics=FREE,
        data_removed={"type": "boolean"},
        source=TEXT,
        urls=record(get=TEXT, cancel=TEXT, stream=TEXT, web=TEXT),
    ),
    "Version": record(id=TEXT, created_at=TIME, cog_version=TEXT, openapi_schema=FREE),
    "Model": record(
        url=TEXT,
        owner=TEXT,
        name=TEXT,
        description=nullable(TEXT),
        visibility=TEXT,
        github_url=nullable(TEXT),
        paper_url=nullable(TEXT),
        license_url=nullable(TEXT),
        run_count=COUNT,
        cover_image_url=nullable(TEXT),
        default_example={"type": "null"},
        created_at=TIME,
        latest_version=nullable(ref("Version")),
    ),
    "Deployment": record(
        owner=TEXT,
        name=TEXT,
        current_release=record(
            number=COUNT,
            model=TEXT,
            version=TEXT,
            created_at=TIME,
            created_by=ref("Account"),
            configuration=record(hardware=TEXT, min_instances=COUNT, max_instances=COUNT),
            traffic=list_of(record(version=TEXT, weight={"type": "number", "exclusiveMinimum": 0})),
            sticky=nullable(TEXT),
        ),
    ),
    "File": record(
        id=TEXT,
        name=TEXT,
        content_type=TEXT,
        size=COUNT,
        etag=TEXT,
        checksums=record(sha256=TEXT, md5=TEXT),
        metadata=FREE,
        created_at=TIME,
        expires_at=TIME,
        urls=record(get=TEXT),
    ),
    "Account": record(type=TEXT, username=TEXT, name=TEXT, github_url=nullable(TEXT)),
    "Health": record(
        status={"type": "string", "enum": ["ready", "starting", "idle", "empty", "stopping", "crash-looping"]},
    ),
    "PlainPrediction": record(
        {"detail": list_of(_MISTAKE)},
        id=nullable(TEXT),
        status=_STATUS,
        output=ANY,
        error=nullable(TEXT),
        logs=TEXT,
        metrics=FREE,
    ),
    "Mistakes": record(detail=list_of(_MISTAKE)),
    "OpenAIError": record(error=record(message=TEXT, type=TEXT, param=nullable(TEXT), code=nullable(TEXT))),
}

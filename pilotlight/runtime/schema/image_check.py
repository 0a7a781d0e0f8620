"""Where the image that ``cog build`` makes would differ from what runs here.

Cog's build tool reads the predictor's source; here the predictor is imported. What only an import can know, the image
does not have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs

from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.document import document
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError
from pilotlight.runtime.schema.static.reader import read_source

_OWN_SCHEMA = "COG_OPENAPI_SCHEMA"
_NOT_CHECKED = {"default", "description", "title"}


def build_refusal(project: Project) -> str | None:
    """Return why ``cog build`` would refuse the project, and what to change; ``None`` where it would not.

    Its source is read, not imported. A schema of its own (``COG_OPENAPI_SCHEMA``) is taken as it is, by Cog too.
    """
    try:
        _built(project)
    except BuildRefusedError as error:
        return f"cog build refuses this predictor: {error}"
    return None


def image_warning(project: Project, imported: Mapping[str, Any]) -> str | None:
    """Return one line about what the image would do otherwise; ``None`` where it would do the same.

    Args:
        project: its source is read, not imported.
        imported: the OpenAPI document that the import gave.
    """
    try:
        built = _built(project)
    except BuildRefusedError as error:
        return f"cog build refuses this predictor: {error}"
    if built is None:
        return None
    differences = "; ".join(_differences(_inputs(built), _inputs(imported)))
    return f"the image that cog build makes would differ: {differences}" if differences else None


def _built(project: Project) -> dict[str, Any] | None:
    """Return the document that the build tool would write; ``None`` where this cannot be told from the source."""
    if os.environ.get(_OWN_SCHEMA):
        return None
    try:
        if project.train_ref is not None:
            read_source(project.root, project.train_ref, "train")
        built = document(read_source(project.root, project.predict_ref), None, cog_version="")
    except UnknownSyntaxError:  # the build tool reads every Python's syntax
        return None
    wrong = next(iter(_wrong_defaults(built)), None)
    if wrong is not None:
        raise BuildRefusedError(wrong, file=project.predict_ref.partition(":")[0])
    return built


def _wrong_defaults(built: Mapping[str, Any]) -> Iterable[str]:
    """Yield the inputs whose default their own schema does not allow; the build tool validates its document."""
    components = built["components"]
    for name, shape in _inputs(built).get("properties", {}).items():
        if shape.get("default") is None:
            continue
        schema = {key: value for key, value in shape.items() if key not in _NOT_CHECKED}
        try:
            valid = jsonschema_rs.validator_for({**schema, "components": components}).is_valid(shape["default"])
        except ValueError:
            yield f"parameter {name}: its regex {shape.get('pattern')!r} cannot be compiled; correct it"
        else:
            if not valid:
                yield f"parameter {name}: its type and limits do not allow its default {shape['default']!r}; correct it"


def _inputs(found: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = found.get("components", {}).get("schemas", {}).get("Input", {})
    return schema


def _differences(built: Mapping[str, Any], imported: Mapping[str, Any]) -> Iterable[str]:
    there, here = built.get("properties", {}), imported.get("properties", {})
    for name in [*there, *(name for name in here if name not in there)]:
        if name not in there or name not in here:
            yield f"{name} is an input only {'there' if name in there else 'here'}"
        elif name in built.get("required", ()) and name not in imported.get("required", ()):
            yield f"{name} is required there, because its default is not a literal; write default=... with a literal"
        else:
            keys = [
                key
                for key in ("minimum", "maximum", "minLength", "maxLength", "pattern", "default")
                if key in here[name]
            ]
            lost = [key for key in keys if key not in there[name]]
            if lost:
                yield f"{name} has no {' and no '.join(lost)} there; write a literal"

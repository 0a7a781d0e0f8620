"""Makes invalid inputs from a project's schema: one wrong value beside valid ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.runtime.predictor_schema import InputField, PredictorSchema

__all__ = ["Case", "cases"]

# So much text breaks what has no limit, and is nothing to send.
_LONG = 100_000
# Far beyond any sensible count, and yet no memory that a machine lacks where it is a length. Not more: a predictor that
# takes it at its word runs on the machine of whoever runs this.
_HUGE = 1_000_000
_NOT_JSON = "{"
_ODD = "\x00\u202e\U0001f4a5"


@dataclass(frozen=True, slots=True)
class Case:
    """One input by name, its value, and the value in short."""

    name: str
    value: Any
    shown: str


def cases(schema: PredictorSchema) -> list[Case]:
    """What to try, the cheap ones first.

    What Cog refuses by itself is tried once for each kind of input, to see that it does: a value of the wrong type, and
    one beyond a declared limit.
    """
    found = [case for one in schema.inputs.values() for case in _of(one)]
    return sorted(found, key=lambda case: len(str(case.value)))


def _of(one: InputField) -> Iterator[Case]:
    name, schema = one.name, one.schema
    if one.choices:
        yield Case(name, "no such choice", "'no such choice'")
        return
    match schema.get("type"):
        case "integer" | "number":
            yield from _numbers(name, schema)
            yield Case(name, "many", "'many'")
        case "string" if schema.get("format") == "uri":
            yield Case(name, "data:application/octet-stream;base64,", "(an empty file)")
        case "string" if not one.secret:
            yield from _texts(name, schema)
        case "array":
            yield Case(name, [], "[]")


def _numbers(name: str, schema: Mapping[str, Any]) -> Iterator[Case]:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    for value in (0, -1) if lowest is None else (lowest - 1,):
        yield Case(name, value, str(value))
    above = max(_HUGE, lowest or 0) if highest is None else highest + 1
    yield Case(name, above, str(above))


def _texts(name: str, schema: Mapping[str, Any]) -> Iterator[Case]:
    if "pattern" in schema:
        return
    if schema.get("minLength", 0) == 0 and schema.get("default") != "":
        yield Case(name, "", "''")
    yield Case(name, _ODD, "(a zero byte, a mark that turns text around, an emoji)")
    if "json" in f"{name} {schema.get('description', '')}".lower():
        yield Case(name, _NOT_JSON, repr(_NOT_JSON))
    if "maxLength" not in schema:
        yield Case(name, "word " * (_LONG // 5), f"({_LONG:,} characters)")

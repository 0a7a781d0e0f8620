"""Make invalid inputs from a project's schema: one wrong value beside valid ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.runtime.predictor_schema import InputField, PredictorSchema

__all__ = ["Case", "cases"]

# Long enough to break a predictor without a limit, short enough to send quickly.
_LONG = 100_000
# Far beyond any sensible count, yet as a length it needs no more memory than a machine has: a predictor that uses the
# value unchecked runs on the user's machine.
_HUGE = 1_000_000
_NOT_JSON = "{"
_ODD = "\x00\u202e\U0001f4a5"


@dataclass(frozen=True, slots=True)
class Case:
    """One invalid input: its name, its value, and a short form of the value."""

    name: str
    value: Any
    shown: str


def cases(schema: PredictorSchema) -> list[Case]:
    """Return the inputs to try, the cheap ones first.

    Two things that Cog itself refuses are tried once for each kind of input: a value of the wrong type, and a value
    beyond a declared limit.
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

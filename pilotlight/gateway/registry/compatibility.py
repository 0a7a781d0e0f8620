"""Compatibility of one version's schema with another's: what callers of the older one could do and no longer can. Pure.

Every input that the older version accepts, the newer one has to accept; every output that the newer one gives, the
older one has to have promised. Compatible are: a new input with a default, wider limits, more choices, other defaults,
other descriptions, an output of a narrower type. A regular expression that differs is incompatible, because nothing can
tell which of two accepts more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.runtime.predictor_schema import OutputField, PredictorSchema

Schema = Mapping[str, Any]

# A limit, in words, and which way it may go without refusing what it took before.
_LIMITS = {
    "minimum": ("minimum", -1),
    "maximum": ("maximum", 1),
    "minLength": ("least length", -1),
    "maxLength": ("greatest length", 1),
}


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why callers of the older version would break.

    Attributes:
        where: ``input NAME`` or ``output``, with the place within it such as ``input numbers[]``.
        what: what has changed, in words.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def find_incompatibilities(older: Schema, newer: Schema) -> list[Incompatibility]:
    """Return all incompatibilities between two OpenAPI documents of a predictor, inputs in the older one's order."""
    before, now = PredictorSchema.of(older), PredictorSchema.of(newer)
    return [*_input_breaks(before, now), *_output_breaks(before.output, now.output)]


def _input_breaks(older: PredictorSchema, newer: PredictorSchema) -> Iterator[Incompatibility]:
    if not newer.describes_inputs:
        return  # the newer one checks nothing
    comparison = _Comparison(with_null=False)
    for name, before in older.inputs.items():
        where = f"input {name}"
        now = newer.inputs.get(name)
        if now is None:
            yield Incompatibility(where, "was removed")
            continue
        if now.required and not before.required:
            yield Incompatibility(where, "has to be given now")
        for clash in comparison.clashes(where, before.schema, now.schema):
            yield Incompatibility(clash.where, _input_words(clash))
    for name in sorted(set(newer.required) - older.inputs.keys()):
        yield Incompatibility(f"input {name}", "is new and has to be given; give it a default")


def _output_breaks(older: OutputField, newer: OutputField) -> Iterator[Incompatibility]:
    for before, now, words in (
        (older.iterates, newer.iterates, "chunk by chunk"),
        (older.concatenates, newer.concatenates, "as one text"),
    ):
        if before is not now:
            yield Incompatibility("output", f"comes {words} now" if now else f"no longer comes {words}")
    # The other way round: a reader of what the older one promised has to understand what the newer one gives.
    for clash in _Comparison(with_null=True).clashes("output", newer.schema, older.schema):
        yield Incompatibility(clash.where, _output_words(clash))


@dataclass(frozen=True, slots=True)
class _Clash:
    """One reason why a schema does not accept all that another one gives; ``given`` and ``taken`` are what differs."""

    where: str
    kind: str
    given: Any
    taken: Any


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares two schemas without references.

    Attributes:
        with_null: whether ``nullable`` counts. It does in outputs; a null input counts as not given.
    """

    with_null: bool

    def clashes(self, where: str, given: Schema, taken: Schema) -> Iterator[_Clash]:
        """Yield why ``taken`` does not accept all that ``given`` gives; nothing where it does."""
        if self.with_null and given.get("nullable") and not taken.get("nullable"):
            yield _Clash(where, "null", given, taken)
        if "anyOf" in given or "anyOf" in taken:
            yield from self._of_alternatives(where, given, taken)
        elif not _fits(given, taken):
            yield _Clash(where, "type", given, taken)
        else:
            yield from _of_values(where, given, taken)
            yield from self._of_parts(where, given, taken)

    def _of_alternatives(self, where: str, given: Schema, taken: Schema) -> Iterator[_Clash]:
        others = taken.get("anyOf", (taken,))
        for one in given.get("anyOf", (given,)):
            if all(any(self.clashes(where, one, other)) for other in others):
                yield _Clash(where, "type", given, taken)
                return

    def _of_parts(self, where: str, given: Schema, taken: Schema) -> Iterator[_Clash]:
        """Of what a list or an object holds."""
        if "items" in taken:
            yield from self.clashes(f"{where}[]", given.get("items", {}), taken["items"])
        had, has = given.get("properties", {}), taken.get("properties", {})
        for name in sorted(set(taken.get("required", ())) - set(given.get("required", ()))):
            yield _Clash(f"{where}.{name}", "required", None, None)
        for name in sorted(had.keys() & has.keys()):
            yield from self.clashes(f"{where}.{name}", had[name], has[name])
        others = taken.get("additionalProperties")
        if isinstance(others, Mapping):
            values = given.get("additionalProperties")
            yield from self.clashes(f"{where}{{}}", values if isinstance(values, Mapping) else {}, others)


def _fits(given: Schema, taken: Schema) -> bool:
    """Return whether the type of value fits, whatever it contains."""
    wanted, kind = taken.get("type"), given.get("type")
    if wanted is not None and kind != wanted and (kind, wanted) != ("integer", "number"):
        return False
    # A plain string is no URL of a file, but the URL of a file is a string.
    return taken.get("format") != "uri" or given.get("format") == "uri"


def _of_values(where: str, given: Schema, taken: Schema) -> Iterator[_Clash]:
    """Of limits, choices and expressions."""
    for key, (_, wider) in _LIMITS.items():
        had, has = given.get(key), taken.get(key)
        if has is not None and (had is None or (has - had) * wider < 0):
            yield _Clash(where, key, had, has)
    had, has = given.get("enum"), taken.get("enum")
    if has is not None and (had is None or any(choice not in has for choice in had)):
        yield _Clash(where, "enum", had, has)
    had, has = given.get("pattern"), taken.get("pattern")
    if has is not None and has != had:
        yield _Clash(where, "pattern", had, has)


def _input_words(clash: _Clash) -> str:
    had, has = clash.given, clash.taken
    match clash.kind:
        case "type":
            return f"its type went from {_type_words(had)} to {_type_words(has)}"
        case "required":
            return "has to be given now"
        case "enum" if had is None:
            return f"has to be {_listed(has)} now"
        case "enum":
            return f"can no longer be {_listed([choice for choice in had if choice not in has])}"
        case "pattern":
            return f"has to match {'a' if had is None else 'another'} regular expression now: {has}"
    words = _LIMITS[clash.kind][0]
    return f"has a {words} of {has} now" if had is None else f"its {words} went from {had} to {has}"


def _output_words(clash: _Clash) -> str:
    had, has = clash.taken, clash.given
    match clash.kind:
        case "null":
            return "may be null now"
        case "type":
            return f"its type went from {_type_words(had)} to {_type_words(has)}"
        case "required":
            return "is no longer always there"
    return f"its {clash.kind} is no longer {json.dumps(had, ensure_ascii=False)}"


def _type_words(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type_words(one) for one in schema["anyOf"])
    if schema.get("format") == "uri":
        return "file"
    kind = str(schema.get("type", "anything"))
    return f"{kind} of {_type_words(schema['items'])}" if "items" in schema else kind


def _listed(values: list[Any]) -> str:
    *others, final = [json.dumps(value, ensure_ascii=False) for value in values]
    return f"{', '.join(others)} or {final}" if others else final

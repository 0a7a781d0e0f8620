"""What Cog's build tool finds wrong with an OpenAPI document that it has written: it validates each as OpenAPI 3.0."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

_NOT_CHECKED = {"default", "description", "title"}
# What a component may be called; the choices of an input are a component of its name.
_COMPONENT = re.compile(r"[A-Za-z0-9._-]+")
_MOST_REPEATS = 1000
# Go's regular expressions in tokens: an escape, a class, the opening of a group, a repetition, any other character.
_TOKENS = re.compile(r"\\[pP]\{\w+\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[^)!=:]*[)!=:]|\{\d+(?:,\d*)?\}|.", re.DOTALL)
_FLAGS = re.compile(r"\(\?(?:[imsU]*(?:-[imsU]+)?[):]|P?<\w+>.*)", re.DOTALL)


def document_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the build tool refuses of a document, each with what to change."""
    components = document["components"]
    for schema in ("Input", "TrainingInput"):
        for name, shape in components["schemas"].get(schema, {}).get("properties", {}).items():
            problem = _problem(name, shape, components)
            if problem is not None:
                yield f"parameter {name}: {problem}"


def _problem(name: str, shape: Mapping[str, Any], components: Mapping[str, Any]) -> str | None:
    if "allOf" in shape and not _COMPONENT.fullmatch(name):
        return "an input with choices needs a name of letters a to z, digits and underscores; rename it"
    default, pattern = shape.get("default"), shape.get("pattern")
    is_used = pattern is not None and (shape.get("type") == "string" or isinstance(default, str))
    if is_used and not compiles_in_go(str(pattern)):
        return (
            f"its regex {pattern!r} cannot be compiled by Cog's build tool, which takes no look-around and no "
            "back-reference; correct it"
        )
    if default is not None and not _allows(shape, components, default):
        return f"its type and limits do not allow its default {default!r}; correct it"
    return None


def _allows(shape: Mapping[str, Any], components: Mapping[str, Any], value: Any) -> bool:
    schema = {key: part for key, part in shape.items() if key not in _NOT_CHECKED}
    if "pattern" in schema:
        if not isinstance(value, str):
            del schema["pattern"]
        else:
            schema["pattern"] = _in_rust(schema["pattern"])
    options = jsonschema_rs.RegexOptions()
    compiled = jsonschema_rs.validator_for({**schema, "components": components}, pattern_options=options)
    return compiled.is_valid(value)


def compiles_in_go(pattern: str) -> bool:
    """Whether Go's ``regexp`` takes a pattern; Rust's ``regex`` is of the same kind and takes a little more."""
    tokens = _TOKENS.findall(pattern)
    for before, token in zip(["", *tokens], tokens, strict=False):
        repeats = [int(number) for number in re.findall(r"\d+", token)] if token[:1] == "{" and len(token) > 1 else []
        if any(number > _MOST_REPEATS for number in repeats):
            return False
        is_repetition = token in ("*", "+") or repeats
        if is_repetition and (before in ("*", "+", "?") or (before[:1] == "{" and len(before) > 1)):
            return False
        if token.startswith("(?") and not _FLAGS.fullmatch(token):
            return False
        if token in ("\\<", "\\>", "\\c"):
            return False
    try:
        jsonschema_rs.validator_for({"pattern": _in_rust(pattern)}, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        return False
    return True


def _in_rust(pattern: str) -> str:
    """Return a pattern with its braces that repeat nothing escaped: Go takes them as they are."""
    return "".join("\\{" if part == "{" else part for part in _TOKENS.findall(pattern))

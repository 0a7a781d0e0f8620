"""From an input to the bytes of a request, and from a refusal to an ``InputError``. Pure.

What is refused here would otherwise break the request as a whole (text that is not Unicode, NaN), or reach the server's
disk (an id becomes a folder name there).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import InputError, UsageError

# What coglet accepts as a body.
MAX_BODY_BYTES = 100 * 1024 * 1024

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_PROBLEM = 240


def new_prediction_id() -> str:
    """26 letters and digits, as hard to guess as 128 random bits."""
    # One number, and not 26 draws: each asks the system for random bytes once or twice.
    number = secrets.randbelow(36**26)
    letters = []
    for _ in range(26):
        number, digit = divmod(number, 36)
        letters.append("abcdefghijklmnopqrstuvwxyz0123456789"[digit])
    return "".join(letters)


def check_prediction_id(prediction_id: str) -> str:
    """Return the id.

    Raises:
        UsageError: it could leave the folder that the server makes for it.
    """
    if not _ID.fullmatch(prediction_id):
        raise UsageError(
            f"prediction id {prediction_id[:140]!r}: use 1 to 128 letters, digits, '-' and '_', not '-' or '_' first"
        )
    return prediction_id


def encode_body(inputs: Mapping[str, Any], context: Mapping[str, str] | None = None) -> bytes:
    """Return the JSON body of a prediction request, without the inputs that are ``None``: to Cog those are left out.

    Raises:
        InputError: a value cannot be sent; names it and says why.
    """
    parts = {
        name: f"{_encode(name, name)}:{_encode(name, value)}" for name, value in inputs.items() if value is not None
    }
    body = f'{{"input":{{{",".join(parts.values())}}},"context":{_encode("context", dict(context or {}))}}}'.encode()
    if len(body) > MAX_BODY_BYTES:
        largest = max(parts, key=lambda name: len(parts[name]), default="context")
        raise InputError(largest, f"the request has {len(body):,} bytes, a Cog server takes {MAX_BODY_BYTES:,}")
    return body


def _encode(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise InputError(name, "is nested too deeply to be sent") from None
    except (TypeError, ValueError) as error:
        raise InputError(name, f"cannot be sent as JSON: {error}") from error
    if found := _SURROGATE.search(text):
        raise InputError(
            name,
            f"holds U+{ord(found[0]):04X}, half of a character, which no UTF-8 text can; "
            "remove it, or decode the text with errors='replace'",
        )
    return text


def refusal(body: Any) -> InputError:
    """Return a 422 or a 400 of the server as an error that names every input it refuses."""
    problems = [] if not isinstance(body, Mapping) else [*_problems(body.get("detail"))]
    if not problems:
        said = body.get("error", body) if isinstance(body, Mapping) else body
        return InputError("input", _shorten(str(said)))
    (first, problem), *others = problems
    return InputError(first, "; ".join([problem, *(f"{name}: {text}" for name, text in others)]))


def _problems(detail: Any) -> Sequence[tuple[str, str]]:
    if not isinstance(detail, list):
        return []
    return [
        (".".join(str(part) for part in item["loc"][2:]).replace("/", ".") or "input", _shorten(str(item["msg"])))
        for item in detail
    ]


def _shorten(text: str) -> str:
    """Shorten a message in its middle: the server quotes a value of any length before what is wrong with it."""
    if len(text) <= _LONGEST_PROBLEM:
        return text
    half = _LONGEST_PROBLEM // 2
    return f"{text[:half]} ... {text[-half:]}"

"""Reads the inputs of a classifier or an embedder: one text, or a list of them as JSON."""

from __future__ import annotations

import json

from pilotlight.engines.encoders.types import TextRequest
from pilotlight.errors import InputError

__all__ = ["MAX_TEXTS", "MAX_TOTAL_CHARS", "read_texts"]

MAX_TEXTS = 256
MAX_TOTAL_CHARS = 1_000_000  # of one prediction: a second of tokenizing


def read_texts(text: str, texts: str, *, truncate: bool) -> list[TextRequest]:
    """Return the texts to encode, in order.

    Args:
        text: a single text.
        texts: several instead, as a JSON list of strings.
        truncate: cut off what does not fit the model; otherwise the engine refuses such a text.

    Raises:
        InputError: both are given or neither, ``texts`` is not a list of strings, or there is too much of it.
    """
    if text and texts:
        raise InputError("texts", "is given together with text; give one of them")
    if not texts:
        return [TextRequest(text, "text", truncate)]
    found = _parse(texts)
    if len(found) > MAX_TEXTS:
        raise InputError("texts", f"has {len(found)} texts and at most {MAX_TEXTS} are taken: send it in parts")
    total = sum(map(len, found))
    if total > MAX_TOTAL_CHARS:
        raise InputError(
            "texts", f"has {total} characters in all and at most {MAX_TOTAL_CHARS} are taken: send it in parts"
        )
    return [TextRequest(one, f"texts[{i}]", truncate) for i, one in enumerate(found)]


def _parse(texts: str) -> list[str]:
    try:
        found = json.loads(texts)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError("texts", f'is not JSON ({error}); expected a list of strings such as ["one", "two"]') from None
    if not isinstance(found, list) or not found:
        raise InputError("texts", "is not a list with at least one text; expected a list of strings")
    for i, one in enumerate(found):
        if not isinstance(one, str):
            raise InputError("texts", f"item {i} is {type(one).__name__}, not a string")
    return found

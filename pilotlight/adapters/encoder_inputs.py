"""Reads the inputs of a classifier or an embedder: one text, or a list of them as JSON."""

from __future__ import annotations

import json

from pilotlight.engines.encoders.types import TextRequest
from pilotlight.errors import InputError

__all__ = ["MAX_TEXTS", "MAX_TOTAL_CHARS", "read_texts"]

MAX_TEXTS = 256
MAX_TOTAL_CHARS = 1_000_000  # of one prediction: a second of tokenizing


def read_texts(
    text: str, texts: str, *, truncate: bool, text_pair: str = "", pairs: bool = False, prompt_name: str = ""
) -> list[TextRequest]:
    """Return the texts to encode, in order.

    Args:
        text: a single text.
        texts: several instead, as a JSON list of strings.
        truncate: cut off what does not fit the model; otherwise the engine refuses such a text.
        text_pair: the second text of a pair with ``text``.
        pairs: whether items of ``texts`` may be pairs, lists of two strings.
        prompt_name: which of the model's prompts precedes each text; empty for its default.

    Raises:
        InputError: both are given or neither, ``texts`` is not a list of strings, or there is too much of it.
    """
    if text and texts:
        raise InputError("texts", "is given together with text; give one of them")
    if texts and text_pair:
        raise InputError("text_pair", 'belongs to text; give pairs in texts as [["first", "second"], ...]')
    if not texts:
        return [TextRequest(text, "text", truncate, text_pair, prompt_name)]
    found = _parse(texts, pairs=pairs)
    if len(found) > MAX_TEXTS:
        raise InputError("texts", f"has {len(found)} texts and at most {MAX_TEXTS} are taken: send it in parts")
    total = sum(len(first) + len(second) for first, second in found)
    if total > MAX_TOTAL_CHARS:
        raise InputError(
            "texts", f"has {total} characters in all and at most {MAX_TOTAL_CHARS} are taken: send it in parts"
        )
    return [TextRequest(first, f"texts[{i}]", truncate, second, prompt_name) for i, (first, second) in enumerate(found)]


def _parse(texts: str, *, pairs: bool) -> list[tuple[str, str]]:
    """Return the texts, each with the second text of its pair, which is empty for a single one."""
    try:
        found = json.loads(texts)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError("texts", f'is not JSON ({error}); expected a list of strings such as ["one", "two"]') from None
    if not isinstance(found, list) or not found:
        raise InputError("texts", "is not a list with at least one text; expected a list of strings")
    return [_item(i, one, pairs=pairs) for i, one in enumerate(found)]


def _item(i: int, one: object, *, pairs: bool) -> tuple[str, str]:
    if isinstance(one, str):
        return one, ""
    if not pairs or not isinstance(one, list):
        raise InputError("texts", f"item {i} is {type(one).__name__}, not a string")
    if len(one) != 2 or not all(isinstance(text, str) and text for text in one):
        raise InputError("texts", f"item {i} is a list, but not one of two texts")
    return one[0], one[1]

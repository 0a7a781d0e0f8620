"""Reads what a model folder says of its tokenizer beside ``tokenizer.json``: named and added tokens.

Older releases of transformers spread them over four files. The rules, which file comes first among them, are those of
transformers 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["TokenizerFiles", "read_tokenizer_files"]

FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# In the order in which transformers adds those that are missing, before a model's own names.
NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
FURTHER = ("extra_special_tokens", "additional_special_tokens")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What the files say.

    Attributes:
        config: ``tokenizer_config.json``; empty where there is none.
        names: tokens by name, such as ``bos_token``.
        added: tokens by their number; their flags count, whatever ``tokenizer.json`` says of them.
        older: tokens by their number, for those that ``tokenizer.json`` does not have.
        special: tokens to add after those where they are no added tokens yet.
    """

    config: Mapping[str, Any]
    names: Mapping[str, str]
    added: Mapping[int, AddedToken]
    older: Mapping[int, AddedToken]
    special: tuple[AddedToken, ...]


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read the files in ``folder``; each of them may be missing.

    Raises:
        WeightsError: a file is not JSON, or an entry is not a token.
    """
    config = _optional(folder / "tokenizer_config.json")
    merged = dict(config)
    known = config.get("added_tokens_decoder")
    older: dict[int, AddedToken] = {}
    if not isinstance(known, dict):
        merged |= _optional(folder / "special_tokens_map.json")
    named = _named(merged, folder)
    special = (*named.values(), *_further(merged, folder))
    texts = {token.content for token in special}
    if isinstance(known, dict):
        names = {token.content for token in named.values()}
        added = {_number(number, folder): _token(value, folder, names) for number, value in known.items()}
    else:
        added = {}
        for text, number in _optional(folder / "added_tokens.json").items():
            older[_number(number, folder)] = AddedToken(text, normalized=text not in texts, special=text in texts)
    return TokenizerFiles(config, {name: token.content for name, token in named.items()}, added, older, special)


def _named(config: Mapping[str, Any], folder: Path) -> dict[str, AddedToken]:
    """Return the tokens with a name, those of a model's own names included."""
    own = config.get("extra_special_tokens")
    entries = {**dict.fromkeys(NAMES), **config, **(own if isinstance(own, dict) else {})}
    own_names = own.keys() if isinstance(own, dict) else ()
    return {
        name: _token(value, folder)
        for name, value in entries.items()
        if (name.endswith("_token") or name in own_names) and isinstance(value, str | dict) and value
    }


def _further(config: Mapping[str, Any], folder: Path) -> list[AddedToken]:
    """Return the special tokens without a name."""
    lists = (config.get(key) for key in FURTHER)
    found = next((value for value in lists if isinstance(value, list) and value), [])
    return [_token(value, folder) for value in found]


def _token(value: object, folder: Path, special: Collection[str] | None = None) -> AddedToken:
    """Return the token of an entry, which is special if it says so, if ``special`` holds it, or without ``special``."""
    if isinstance(value, str):
        return AddedToken(value, special=True, normalized=False)
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise WeightsError(f"{folder}: {value!r} among the tokens of its tokenizer is neither a text nor an object")
    flags = {flag: bool(value[flag]) for flag in FLAGS if flag in value}
    if special is None or value["content"] in special:
        flags["special"] = True
    return AddedToken(value["content"], **flags)


def _number(value: object, folder: Path) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise WeightsError(f"{folder}: the token number {value!r} of its tokenizer is not a number") from None


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}

"""A model folder's tokenizer, read from ``tokenizer.json`` by the tokenizers package, without transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pilotlight.errors import InputError, WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["TokenizerCodec"]


class TokenizerCodec:
    """The tokenizer in ``folder`` as a TokenCodec.

    Raises:
        WeightsError: there is no ``tokenizer.json``, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise WeightsError(f"{path} is missing: without it only the torch engine can read this model's tokenizer")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exception
            raise WeightsError(f"{path} cannot be read as a tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._folder = folder

    @cached_property
    def longest_token_chars(self) -> int:
        return max((len(token) for token in self._tokenizer.get_vocab()), default=1)

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special_tokens).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def apply_chat_template(self, messages: Sequence[dict[str, str]]) -> str | None:
        if self._template is None:
            return None
        try:
            text: str = self._template.render(
                messages=list(messages), tools=None, documents=None, add_generation_prompt=True, **self._special_tokens
            )
        except _jinja_error() as error:
            raise InputError("messages", f"do not suit this model's chat template: {error}") from error
        return text

    @cached_property
    def _config(self) -> dict[str, Any]:
        path = self._folder / "tokenizer_config.json"
        return read_json(path) if path.is_file() else {}

    @cached_property
    def _special_tokens(self) -> dict[str, str]:
        return special_tokens(self._config)

    @cached_property
    def _template(self) -> Any:
        source = _template_source(self._folder, self._config)
        return None if source is None else _compile(source)


def special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tokens of a ``tokenizer_config.json`` by name, such as ``bos_token``."""
    found = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _template_source(folder: Path, config: Mapping[str, Any]) -> str | None:
    """Return the source in its file, else in the configuration; of several named templates the default one."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text("utf-8")
    source = config.get("chat_template")
    if isinstance(source, list):
        source = {entry["name"]: entry["template"] for entry in source}.get("default")
    return source if isinstance(source, str) else None


def _compile(source: str) -> Any:
    """Compile the template in a sandbox, with the filters and functions that transformers provides."""
    from jinja2.ext import loopcontrols  # imported only for models with a template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment.from_string(source)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)  # jinja's own escapes HTML


def _raise(message: str) -> None:
    raise _jinja_error()(message)


def _jinja_error() -> type[Exception]:
    from jinja2.exceptions import TemplateError

    return TemplateError

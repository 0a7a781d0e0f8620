"""Checks inputs against a version's schema before anything is queued, with the Cog server's own messages.

The server checks with the Rust crate ``jsonschema``, of which ``jsonschema_rs`` is the Python binding, so that both say
the same of the same mistake. An input that the predictor does not have is dropped, as the server and Replicate do, or
refused where that is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from pilotlight.errors import InputError
from pilotlight.runtime.http.request import encode_body
from pilotlight.runtime.predictor_schema import PredictorSchema

REDACTED = "**********"

_URL = re.compile("(https?|data):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One violation of the schema by an input.

    Attributes:
        field: the input, or a place within it such as ``numbers/0``.
        message: what is wrong with it.
        kind: Cog's word for the sort of mistake.
    """

    field: str
    message: str
    kind: str = "value_error"

    @property
    def detail(self) -> dict[str, Any]:
        """The mistake as the Cog server writes it."""
        return {"loc": ["body", "input", self.field], "msg": self.message, "type": self.kind}


class InvalidInputError(InputError):
    """An input that the version's schema does not allow; ``mistakes`` are all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        first, *others = mistakes
        text = "; ".join([first.message, *(f"{one.field}: {one.message}" for one in others)])
        super().__init__(first.field, text)
        self.mistakes = mistakes


class Validator:
    """Checks inputs against one version's OpenAPI document.

    Attributes:
        schema: what the document says.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schema = PredictorSchema.of(document)
        inputs = self.schema.inputs.values()
        self._secrets = {one.name for one in inputs if one.secret}
        #: The inputs that a worker makes files of, where they are URLs.
        self.files = frozenset(one.name for one in inputs if one.file)
        self._only_urls = {one.name for one in inputs if one.only_files}
        components = document.get("components", {})
        schema = components.get("schemas", {}).get("Input")
        self._compiled = None if schema is None else _compiled(schema, components)

    def check(self, inputs: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        """Return the input as it will be sent.

        It is without nulls, which to Cog mean "not given", and without inputs that the predictor does not have.

        Args:
            inputs: the inputs by name.
            strict: refuse inputs that the predictor does not have.

        Raises:
            InvalidInputError: the schema does not allow it; carries every mistake.
        """
        given = {name: value for name, value in inputs.items() if value is not None}
        unknown = list(self.schema.unknown_inputs(given))
        for error in unknown:
            del given[error.name]
        mistakes = [self._kept_secret(mistake) for mistake in self._mistakes(given)] or self._no_urls(given)
        if strict:
            mistakes += [Mistake(error.name, error.problem, "value_error.extra") for error in unknown]
        if mistakes:
            raise InvalidInputError(mistakes)
        try:
            encode_body(given)
        except InputError as error:
            raise InvalidInputError([Mistake(error.name, error.problem, "value_error.extra")]) from None
        return given

    def _no_urls(self, given: Mapping[str, Any]) -> list[Mistake]:
        """Refuse a file that is no URL: Cog passes such a text on, and a predictor would open any local file."""
        return [
            Mistake(name, f"{value[:100]!r} is no http:, https: or data: URL")
            for name in sorted(self._only_urls & given.keys())
            for value in (given[name] if isinstance(given[name], list) else [given[name]])
            if isinstance(value, str) and not _URL.match(value)
        ]

    def _kept_secret(self, mistake: Mistake) -> Mistake:
        """Return a mistake that does not quote a secret, which the server's message does."""
        secret = mistake.field.partition("/")[0] in self._secrets and mistake.kind == "value_error"
        return Mistake(mistake.field, "this secret is not what the schema allows") if secret else mistake

    def redact(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input as it may be stored and shown: with stars for every ``cog.Secret``."""
        return {name: REDACTED if name in self._secrets else value for name, value in inputs.items()}

    def _mistakes(self, given: Mapping[str, Any]) -> list[Mistake]:
        if self._compiled is None or self._compiled.is_valid(given):
            return []
        # The server keeps a schema's keys in alphabetical order, and finds the mistakes in that order.
        errors = sorted(self._compiled.iter_errors(given), key=_place)
        return [_mistake(error) for error in errors]


def _compiled(schema: Mapping[str, Any], components: Mapping[str, Any]) -> jsonschema_rs.Validator | None:
    """Return the validator of the inputs; ``None`` where it cannot be made, and the server validates nothing either."""
    try:
        # The references of the Input schema point into the document.
        return jsonschema_rs.validator_for({**schema, "components": components})
    except ValueError:
        return None


def _place(error: jsonschema_rs.ValidationError) -> list[str]:
    return [str(part) for part in error.evaluation_path]


def _mistake(error: jsonschema_rs.ValidationError) -> Mistake:
    field = "/".join(str(part) for part in error.instance_path)
    if not field and isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
        return Mistake(str(error.kind.property), "Field required", "value_error.missing")
    message = error.message
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Enum):
        # The server's release of the crate writes all of them, where this one's shortens.
        options = json.dumps(error.kind.options, ensure_ascii=False, separators=(",", ":"))
        message = f"{json.dumps(error.instance, ensure_ascii=False)} is not one of {options}"
    return Mistake(field or "__root__", message)

"""The inputs of a handler: its parameters, and what ``Input(...)`` says of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from pilotlight.runtime.schema.document import Input, is_required
from pilotlight.runtime.schema.static.annotations import annotation_of
from pilotlight.runtime.schema.static.errors import BuildRefusedError
from pilotlight.runtime.schema.static.input_types import InputType, input_type
from pilotlight.runtime.schema.static.literals import (
    Literal,
    choices_of,
    literal_of,
    number_of,
    plain_number,
    text_of,
    text_or_constant,
    value_of,
)
from pilotlight.runtime.schema.static.models import Module
from pilotlight.runtime.schema.static.types import UnsupportedTypeError
from pilotlight.runtime.schema.static.unread import UnreadArgument, UnreadValue, unread_arguments

Function = ast.FunctionDef | ast.AsyncFunctionDef
_UNSIGNED = 2**64


@dataclass(frozen=True, slots=True)
class InputCall:
    """What one ``Input(...)`` says; ``None`` for what it does not say, or not readably."""

    default: Literal | None = None
    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: list[Literal] | None = None
    deprecated: bool = False
    accept: str | None = None
    unread: tuple[UnreadArgument, ...] = ()

    @property
    def limits_value(self) -> bool:
        limits = (self.ge, self.le, self.min_length, self.max_length, self.regex)
        return bool(self.choices) or any(limit is not None for limit in limits)


class InputReader:
    """Reads the parameters of a handler in one file.

    Attributes:
        unread: the arguments of ``Input`` that were passed over.

    Raises:
        BuildRefusedError: Cog's build tool does not take one of them.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._source = module.source
        self.unread: list[UnreadValue] = []
        self._shared = {name: found for one in module.classes() for name, found in self._shared_inputs(one)}

    def inputs(self, function: Function) -> list[Input]:
        """Return the inputs in their order; a parameter with neither type nor default is none."""
        found: dict[str, Input] = {}
        for argument, default in self._parameters(function):
            if argument.annotation is not None:
                found[argument.arg] = self._input(argument, argument.annotation, default)
            elif default is not None:
                raise self._source.refuse(
                    argument, f"parameter {argument.arg} has no type; write {argument.arg}: str = ... or another type"
                )
        return list(found.values())

    def _parameters(self, function: Function) -> list[tuple[ast.arg, ast.expr | None]]:
        given = function.args
        for star in (given.vararg, given.kwarg):
            if star is not None and star.annotation is not None:
                raise self._source.refuse(
                    star, f"*{star.arg} cannot be an input; name each input as a parameter of its own"
                )
        plain = [*given.posonlyargs, *given.args]
        missing: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults))
        return [
            *zip(plain, [*missing, *given.defaults], strict=True),
            *zip(given.kwonlyargs, given.kw_defaults, strict=True),
        ]

    def _input(self, argument: ast.arg, annotation: ast.expr, default: ast.expr | None) -> Input:
        try:
            found = input_type(annotation_of(self._source, annotation), self._module.imports, self._module.typed_dicts)
        except UnsupportedTypeError as error:
            raise self._source.refuse(argument, f"parameter {argument.arg}: {error}") from None
        call = InputCall() if default is None else self._call_or_value(argument.arg, default)
        schema = found.schema.get("items", found.schema) if found.kind == "list" else found.schema
        if call.accept is not None and schema.get("format") != "uri":
            raise self._source.refuse(
                argument, f"parameter {argument.arg}: accept is for Path and File only; remove it"
            )
        if found.kind == "union" and call.limits_value:
            raise self._source.refuse(
                argument,
                f"parameter {argument.arg}: a union cannot have choices or limits; remove them, or name one type",
            )
        result = _as_input(argument.arg, found, call)
        self._note_unread(result, call)
        return result

    def _note_unread(self, read: Input, call: InputCall) -> None:
        """Keep the arguments that were passed over and that change what the input takes."""
        file, name = str(self._source.path), read["name"]
        for one in call.unread:
            if one.in_pieces or one.keyword != "default" or is_required(read):
                self.unread.append(UnreadValue(file, one.line, name, one.keyword, one.text, one.in_pieces))

    def _call_or_value(self, name: str, node: ast.expr) -> InputCall:
        source, constants = self._source, self._module.constants
        if not source.is_parenthesised(node):
            if self._is_input_call(node):
                return self._input_call(name, node)
            shared = self._shared_input(node)
            if shared is not None:
                return shared
        value = value_of(source, node, constants)
        if value is not None:
            return InputCall(default=value)
        text = source.text_of(node)
        advice = "write a literal, or Input(default=...)"
        if text.startswith("cog.Input("):
            advice = "write from cog import Input, and Input(...) in place of cog.Input(...)"
        raise source.refuse(node, f"parameter {name}: the default {text} is not read from source; {advice}")

    def _is_input_call(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        name = self._source.text_of(node.func)
        return name == "Input" or self._module.imports.comes_from_cog(name, "Input")

    def _input_call(self, name: str, node: ast.expr) -> InputCall:
        call = InputCall()
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                call = self._with_keyword(call, name, keyword)
            unread = tuple(unread_arguments(self._source, node, self._module.constants))
            call = replace(call, unread=unread)
        return call

    def _with_keyword(self, call: InputCall, name: str, keyword: ast.keyword) -> InputCall:
        source, constants, value = self._source, self._module.constants, keyword.value
        match keyword.arg:
            case "default":
                return replace(call, default=value_of(source, value, constants) or Literal(None, "none"))
            case "default_factory":
                raise source.refuse(value, f"parameter {name}: default_factory is not supported; write default=...")
            case "description":
                return replace(call, description=_either(text_or_constant(source, value, constants), call.description))
            case "ge" | "le" as limit:
                number = number_of(source, value)
                return call if number is None else _limited(call, limit, number)
            case "min_length" | "max_length" as limit:
                number = number_of(source, value)
                return call if number is None else _limited(call, limit, int(number) % _UNSIGNED)
            case "regex":
                return replace(call, regex=_either(text_of(source, value), call.regex))
            case "accept":
                return replace(call, accept=_either(text_of(source, value), call.accept))
            case "deprecated":
                return replace(call, deprecated=source.text_of(value) == "True")
            case "choices":
                choices = choices_of(source, value, constants)
                if choices is None:
                    raise source.refuse(
                        value,
                        f"parameter {name}: the choices {source.text_of(value)} are not read from source; write a list "
                        "of literals without comments in it, or list(D.keys()) of a dictionary in this file",
                    )
                return replace(call, choices=choices)
        return call

    def _shared_inputs(self, owner: ast.ClassDef) -> list[tuple[str, tuple[list[str], InputCall]]]:
        """Return the inputs that a class holds for others: its attributes, and methods that return one."""
        found: list[tuple[str, tuple[list[str], InputCall]]] = []
        for statement in owner.body:
            names: list[str] = []
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    key, call = f"{owner.name}.{name}", value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    key, call = f"{owner.name}.{name}", value
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    returned = self._returned(statement)
                    if returned is None:
                        continue
                    key, call = f"{owner.name}.{statement.name}()", returned
                    given = statement.args
                    parameters = (*given.posonlyargs, *given.args, *given.kwonlyargs)
                    names = [one.arg for one in parameters if one.arg not in ("self", "cls")]
                case _:
                    continue
            if not self._is_input_call(call) or self._source.is_parenthesised(call):
                continue
            try:
                found.append((key, (names, self._input_call(key, call))))
            except BuildRefusedError:  # only where it is used does it matter
                continue
        return found

    def _returned(self, function: Function) -> ast.expr | None:
        for statement in function.body:
            if (
                isinstance(statement, ast.Return)
                and statement.value is not None
                and self._is_input_call(statement.value)
            ):
                return statement.value
        return None

    def _shared_input(self, node: ast.expr) -> InputCall | None:
        """Return the input that ``Owner.name`` or ``Owner.name(...)`` stands for, with what the call changes."""
        if isinstance(node, ast.Attribute):
            found = self._shared.get(self._source.text_of(node))
            return None if found is None else found[1]
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        found = self._shared.get(f"{self._source.text_of(node.func)}()")
        if found is None:
            return None
        names, call = found
        given = dict(zip(names, node.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        return self._overridden(call, given)

    def _overridden(self, call: InputCall, given: dict[str, ast.expr]) -> InputCall:
        source = self._source
        if "default" in given:
            call = replace(call, default=literal_of(source, given["default"]) or call.default)
        if "description" in given:
            call = replace(call, description=_either(text_of(source, given["description"]), call.description))
        for limit in ("ge", "le"):
            number = number_of(source, given[limit]) if limit in given else None
            call = call if number is None else _limited(call, limit, number)
        return call


def _either(first: str | None, second: str | None) -> str | None:
    return second if first is None else first


def _limited(call: InputCall, limit: str, number: float) -> InputCall:
    match limit:
        case "ge":
            return replace(call, ge=number)
        case "le":
            return replace(call, le=number)
        case "min_length":
            return replace(call, min_length=int(number))
    return replace(call, max_length=int(number))


def _as_input(name: str, found: InputType, call: InputCall) -> Input:
    return {
        "name": name,
        "schema": found.schema,
        "nullable": found.nullable,
        "default_given": call.default is not None,
        "default": None if call.default is None else call.default.json(),
        "description": call.description,
        "ge": None if call.ge is None else plain_number(call.ge),
        "le": None if call.le is None else plain_number(call.le),
        "min_length": call.min_length,
        "max_length": call.max_length,
        "regex": call.regex,
        "choices": None if call.choices is None else [choice.json() for choice in call.choices],
        "deprecated": call.deprecated,
        "accept": call.accept,
    }

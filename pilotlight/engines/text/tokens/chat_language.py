"""The language of chat templates: Jinja in a sandbox, with what transformers adds to it and a check of the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import Environment, Template, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

__all__ = ["compile_template"]


def compile_template(text: str, check_time: str) -> Template:
    """Compile a chat template.

    Args:
        text: of the template.
        check_time: name of the variable that the template calls, without arguments, in each turn of a loop and each
            call of a macro; what it raises ends the rendering.

    Raises:
        TemplateSyntaxError: the text is not a template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json  # Jinja's own escapes HTML
    environment.globals.update(
        raise_exception=_refuse, strftime_now=_strftime_now, dict=_Dictionary(), namespace=_PublicNamespace
    )
    tree = environment.parse(text)
    blocks: list[nodes.For | nodes.Macro] = [*tree.find_all(nodes.For), *tree.find_all(nodes.Macro)]
    for block in blocks:
        block.body.insert(0, _call_of(check_time, block.lineno, environment))
    return Template.from_code(environment, environment.compile(tree), environment.make_globals(None))


class _Generation(Extension):
    """The tag around what the assistant says, which marks it for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - the base class declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dictionary:
    """Jinja's ``dict``, without the attributes of Python's type."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _PublicNamespace(Namespace):
    """Jinja's ``namespace``, for names that do not begin with an underscore."""

    def __init__(*args: Any, **values: Any) -> None:  # so that a name may be ``self``
        namespace, *positional = args
        attributes = dict(*positional, **values)
        for name in attributes:
            _require_public(name)
        Namespace.__init__(namespace, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _require_public(name)
        super().__setitem__(name, value)


def _require_public(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot hold {name!r}: the name begins with an underscore")


def _call_of(name: str, line: int, environment: Environment) -> nodes.ExprStmt:
    call = nodes.Call(nodes.Name(name, "load"), [], [], None, None)
    return nodes.ExprStmt(call).set_lineno(line).set_environment(environment)  # type: ignore[return-value]


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: Any) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - the local time, as in transformers

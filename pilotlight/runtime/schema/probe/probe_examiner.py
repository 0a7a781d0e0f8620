"""Imports a predictor as coglet does and describes its handlers.

Only what Cog's server could not run is refused. The limits and defaults are not judged: neither Cog's build tool nor
its server applies the rules of cog's own inspector.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import pathlib
import sys
import traceback
import types
import typing
from typing import TYPE_CHECKING, Any

import cog
import cog._inspector
import cog.input
from cog._adt import FieldType
from cog._inspector import _selected_predict_method, _strip_non_opaque_annotated

if TYPE_CHECKING:
    from pilotlight.runtime.schema.probe.probe_source import hidden_function
    from pilotlight.runtime.schema.probe.probe_types import Refused, input_schema, json_value, nullable, output_schema
    from pilotlight.runtime.schema.signature import Failure, Findings, Input, Signature
else:  # the project's Python may not have pilotlight: only this folder is on its path
    from probe_source import hidden_function
    from probe_types import Refused, input_schema, json_value, nullable, output_schema

_STREAMING_MARK = "__pilotlight_streaming__"


class ImportFailed(Exception):  # noqa: N818 - carries the user's error as its cause
    """The user's module raised while it was imported."""


class OpenedFiles:
    """Every file opened for reading, through Python's audit events: what the signature may depend on."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and args[2] & 3 == os.O_RDONLY:
            self.paths.add(args[0])


class CogObserver:
    """Keeps what cog itself forgets: which handlers are streaming, and which inputs were given a default.

    ``Input()`` and ``Input(default=None)`` are equal to cog, and ``@cog.streaming`` leaves no trace; Cog's build tool
    sees both in the source. So both are wrapped here before the user's module can import them.
    """

    def __init__(self) -> None:
        make_input = cog.Input
        self._with_default: list[Any] = []

        def observed_input(*args: Any, **kwargs: Any) -> Any:
            info = make_input(*args, **kwargs)
            if args or "default" in kwargs:
                self._with_default.append(info)
            return info

        def observed_streaming(function: Any = None) -> Any:
            if function is None:
                return observed_streaming
            setattr(function, _STREAMING_MARK, True)
            return function

        cog.Input = cog.input.Input = observed_input
        cog.streaming = observed_streaming

    def default_given(self, info: object) -> bool:
        return any(info is known for known in self._with_default)


class Examiner:
    """Finds the handlers behind references and describes them."""

    def __init__(self) -> None:
        self._observer = CogObserver()
        self._modules: dict[str, types.ModuleType] = {}

    def signature(self, ref: str, *, train: bool) -> Signature:
        """Describes one handler.

        Raises:
            ImportFailed: its module cannot be imported.
            Refused: Cog cannot serve it.
        """
        target = self._target(ref)
        handler, name = _handler(target, train=train)
        path, _, ref_name = ref.partition(":")
        method = name.rpartition(".")[2].removesuffix("()") if inspect.isclass(target) else None
        function, marked = hidden_function(self._modules[path], ref_name, handler, method)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:
            raise Refused(f"an annotation of {name} cannot be resolved: {error}") from error
        if hints.get("return", type(None)) is type(None):
            raise Refused(f"{name} must have a return type annotation, such as -> str")
        parameters = list(inspect.signature(function).parameters.values())[1 if inspect.isclass(target) else 0 :]
        named = [item for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
        output = output_schema(hints["return"])
        streaming = marked or hasattr(handler, _STREAMING_MARK)
        if streaming and "x-cog-array-type" not in output:
            raise Refused(
                f"@streaming on {name} requires the return type Iterator[...], AsyncIterator[...], "
                "ConcatenateIterator[...] or AsyncConcatenateIterator[...]"
            )
        inputs = [self._input(parameter, hints) for parameter in named]
        return {"inputs": inputs, "output": output, "streaming": streaming}

    def _target(self, ref: str) -> Any:
        """Imports as coglet does: under the file's bare name, registered before it runs."""
        path, _, name = ref.partition(":")
        module = self._modules.get(path)
        if module is None:
            module_name = pathlib.PurePath(path).stem
            spec = importlib.util.spec_from_file_location(module_name, path)
            if spec is None or spec.loader is None:
                raise Refused(f"{path} is not a Python file")
            module = self._modules[path] = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            try:
                spec.loader.exec_module(module)
            except (Exception, SystemExit) as error:
                raise ImportFailed from error
        if not hasattr(module, name):
            own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
            raise Refused(f"{path} defines no {name}; it defines {', '.join(own) or 'nothing'}")
        return getattr(module, name)

    def _input(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> Input:
        name = parameter.name
        if name not in hints:
            raise Refused(f"missing type annotation for input: {name}")
        given = parameter.default is not parameter.empty
        raw = parameter.default if given else None
        info = raw if isinstance(raw, cog.input.FieldInfo) else cog.input.FieldInfo(default=raw)
        annotation = dict if hints[name] is dict else hints[name]
        try:
            field_type = FieldType.from_type(_strip_non_opaque_annotated(annotation))
        except Exception as error:
            raise Refused(f"input {name}: {error}") from error
        return {
            "name": name,
            "schema": input_schema(field_type),
            "nullable": nullable(field_type),
            "default_given": self._observer.default_given(raw) if info is raw else given,
            "default": json_value(info.default),
            "description": info.description,
            "ge": json_value(info.ge),
            "le": json_value(info.le),
            "min_length": info.min_length,
            "max_length": info.max_length,
            "regex": info.regex,
            "choices": None if info.choices is None else [json_value(choice) for choice in info.choices],
            "deprecated": bool(info.deprecated),
            "accept": info.accept,
        }


def _handler(target: Any, *, train: bool) -> tuple[Any, str]:
    """The function that coglet calls, and how to speak of it."""
    if not inspect.isclass(target):
        if not inspect.isfunction(target):
            raise Refused(f"{target!r} is neither a class nor a function")
        return target, f"{target.__name__}()"
    if train:
        method = getattr(target, "train", None)
        if method is None:
            raise Refused(f"{target.__name__} has no train() method")
        return method, f"{target.__name__}.train()"
    try:
        name, handler = _selected_predict_method(target, target.__name__)
    except ValueError as error:
        raise Refused(str(error)) from error
    return handler, f"{target.__name__}.{name}()"


def _import_failure(ref: str, error: BaseException, root: str) -> Failure:
    """What to tell about a failed import: the error, where, and of the traceback the project's own frames only."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, root)]
    place = (frames[-1].filename, frames[-1].lineno) if frames else None
    if isinstance(error, SyntaxError) and error.filename is not None:
        place = (error.filename, error.lineno)
    return {
        "kind": "import",
        "ref": ref,
        "message": traceback.format_exception_only(type(error), error)[-1].strip(),
        "where": f"{os.path.relpath(place[0], root)}, line {place[1]}" if place else "",
        "trace": "".join(traceback.format_list(frames)),
    }


def _is_own(path: str, root: str) -> bool:
    """Whether a file is the project's: in its folder, but not of an environment or cache that lies there too."""
    real = pathlib.Path(os.path.realpath(path))
    if not real.is_file() or not real.is_relative_to(root) or real.is_relative_to(os.path.realpath(sys.prefix)):
        return False
    return {"site-packages", "__pycache__", ".cog", ".git"}.isdisjoint(real.relative_to(root).parts)


def examine(predict: str, train: str | None, root: str) -> Findings | Failure:
    """Describes the project's handlers, and every file which that depended on.

    Args:
        predict: a reference such as ``predict.py:Predictor``.
        train: the same, where there is one.
        root: the project's folder, resolved; also the working directory.
    """
    opened = OpenedFiles()
    sys.addaudithook(opened)
    examiner = Examiner()
    signatures = {}
    for role, ref in (("predict", predict), ("train", train)):
        if ref is not None:
            try:
                signatures[role] = examiner.signature(ref, train=role == "train")
            except Refused as refusal:
                return {"kind": "refused", "ref": ref, "message": str(refusal), "where": "", "trace": ""}
            except ImportFailed as failure:
                return _import_failure(ref, failure.__cause__ or failure, root)
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = {os.path.realpath(path) for path in [*opened.paths, *filter(None, loaded)] if _is_own(path, root)}
    files |= {os.path.realpath(cog._inspector.__file__), os.path.realpath(cog._version.__file__)}
    return {"cog": cog.__version__, "signatures": signatures, "files": sorted(files)}

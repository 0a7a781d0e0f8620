"""The shape of ``cog.yaml``, as Cog 0.23.1's ``config_schema_v1.0.json`` and ``pkg/config/validate.go`` define it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pilotlight.errors import ConfigError

# pkg/config/env.go: what the image sets itself; a project that set them too would break in ways hard to see.
_RESERVED = (
    *("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "LIBRARY_PATH"),
    *("R8_*", "REPLICATE_*", "COG_OBSERVABILITY_*", "COG_TRACE_*", "OTEL_*", "CUDA_*", "NVIDIA_*", "NV_*", "PGET_*"),
    *("HF_ENDPOINT", "HF_HUB_ENABLE_HF_TRANSFER", "KUBERNETES_*"),
)
_OLDEST_PYTHON = (3, 10)
_OLDEST_PYTHON_FOR_CONCURRENCY = (3, 11)


def _text(value: object) -> object:
    """Accept a whole number where text is meant, as in ``cuda: 12``; fractions are text already, see ``_Loader``."""
    return str(value) if type(value) is int else value


def _commands(value: object) -> object:
    """Expand the short form of a build step, which is the bare command."""
    if not isinstance(value, list):
        return value
    return [{"command": item} if isinstance(item, str) else item for item in value]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _python_version(value: str) -> str:
    version = _release(value)
    if version is None:
        raise ValueError("must name major and minor version; write for example '3.11'")
    if version < _OLDEST_PYTHON:
        raise ValueError("Cog needs Python 3.10 or newer")
    return value.strip()


def _release(version: str) -> tuple[int, int] | None:
    match = re.match(r"\s*(\d+)\.(\d+)(\.|\s*$)", version)
    return (int(match[1]), int(match[2])) if match else None


def _reference(value: str) -> str:
    if not re.fullmatch(r"[^:]+\.py:[^:]+", value):
        raise ValueError("must be a file and the class or function in it; write for example 'predict.py:Predictor'")
    return value


def _environment(lines: list[str]) -> list[str]:
    seen: set[str] = set()
    for line in lines:
        name, equals, _ = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{line!r} is not in the form NAME=value")
        if any(name == known or (known.endswith("*") and name.startswith(known[:-1])) for known in _RESERVED):
            raise ValueError(f"{name} is reserved for Cog's own use; remove it or choose another name")
        if name in seen:
            raise ValueError(f"{name} is set twice; keep one of them")
        seen.add(name)
    return lines


Text = Annotated[str, BeforeValidator(_text)]
Reference = Annotated[str, AfterValidator(_reference)]


class _Section(BaseModel):
    # Cog's tool drops a key that it does not know; ``config_notes`` names it.
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class MountYaml(_Section):
    type: Literal["secret"]
    id: str
    target: str


class RunItemYaml(_Section):
    command: str
    mounts: list[MountYaml] | None = None


class BuildYaml(_Section):
    python_version: Annotated[Text, AfterValidator(_python_version)]
    gpu: bool = False
    cuda: Text | None = None
    cudnn: Text | None = None
    python_requirements: Annotated[str, StringConstraints(min_length=1)] | None = None
    python_packages: list[str] | None = None
    system_packages: list[str] | None = None
    pre_install: list[str] | None = None
    run: Annotated[list[RunItemYaml] | None, BeforeValidator(_commands)] = None
    sdk_version: Text | None = None
    # Of older releases, and still in many projects; Cog 0.23.1 takes both and looks at neither.
    fast: Annotated[bool | None, Field(deprecated=True)] = None
    cog_runtime: Annotated[bool | None, Field(deprecated=True)] = None

    @pydantic.model_validator(mode="after")
    def _one_way_to_install(self) -> Self:
        if self.python_packages and self.python_requirements:
            raise ValueError("both python_packages and python_requirements are set; keep python_requirements")
        return self


class ConcurrencyYaml(_Section):
    max: Annotated[int, Field(ge=1)]
    default_target: int | None = None


class TracesYaml(_Section):
    enabled: bool
    sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_off"
    sampler_arg: Text | None = None
    trace_header: str | None = None
    trace_header_format: Literal["w3c", "jaeger"] = "w3c"


class ObservabilityYaml(_Section):
    config: Annotated[str, StringConstraints(pattern=r"\.py$")] | None = None
    traces: TracesYaml | None = None


class WeightSourceYaml(_Section):
    uri: str
    include: list[str] | None = None
    exclude: list[str] | None = None


class WeightYaml(_Section):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
    target: Annotated[str, StringConstraints(pattern=r"^/.+")]
    source: Annotated[list[WeightSourceYaml], BeforeValidator(_as_list)]


class CogYaml(_Section):
    """The whole file; what only matters to ``docker build`` is checked for its shape and not read further."""

    build: BuildYaml | None = None
    run: Reference | None = None
    predict: Reference | None = None
    train: Reference | None = None
    image: str | None = None
    model: str | None = None
    concurrency: ConcurrencyYaml | None = None
    environment: Annotated[list[str], AfterValidator(_environment)] | None = None
    observability: ObservabilityYaml | None = None
    weights: list[WeightYaml] | None = None

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.run and self.predict:
            raise ValueError("both run and predict are set; they mean the same, so keep run, the newer one")
        if self.image and self.model:
            raise ValueError("both image and model are set; keep model, the newer one")
        version = _release(self.build.python_version) if self.build else None
        if self.concurrency and self.concurrency.max > 1 and version and version < _OLDEST_PYTHON_FOR_CONCURRENCY:
            raise ValueError(
                f"concurrency.max is {self.concurrency.max}, which needs Python 3.11 or newer; "
                "raise build.python_version"
            )
        return self


def read_cog_yaml(path: Path) -> CogYaml:
    """Read and check one file.

    Raises:
        ConfigError: it is missing, is not YAML, or breaks a rule; one line for each thing that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path.name} in {path.parent}; give the folder of a Cog project") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses more
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {_yaml_problem(error)}") from error
    if not isinstance(document, dict | None):
        raise ConfigError(f"{path}: expected keys such as build: and run:, found {_shown(document)}")
    try:
        return CogYaml.model_validate(document or {})
    except pydantic.ValidationError as error:
        raise ConfigError("\n".join(_problems(path, error))) from error


def config_notes(config: CogYaml) -> tuple[str, ...]:
    """Return a line for each key that is taken and has no effect: unknown to Cog, or without meaning here."""
    return (*_unknown_keys(config, []), *_without_effect(config))


def _unknown_keys(section: BaseModel, place: list[str]) -> Iterable[str]:
    known = [name for name, field in type(section).model_fields.items() if not field.deprecated]
    for key in section.model_extra or ():
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
        yield f"{'.'.join([*place, key])}: unknown key, which has no effect; {hint}"
    for name in known:
        value = getattr(section, name)
        for number, part in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(part, BaseModel):
                yield from _unknown_keys(part, [*place, f"{name}[{number}]" if isinstance(value, list) else name])


def _without_effect(config: CogYaml) -> Iterable[str]:
    for name in ("fast", "cog_runtime"):
        if name in (config.build.model_fields_set if config.build else ()):
            yield f"build.{name}: of older releases of Cog, and without effect; remove it"
    if config.concurrency is not None and config.concurrency.default_target is not None:
        yield "concurrency.default_target: for Replicate's autoscaler, and without effect here"
    if config.weights:
        targets = ", ".join(one.target for one in config.weights)
        yield f"weights: not fetched here; the files have to be in {targets} for the predictor"


class _Loader(yaml.SafeLoader):
    """Safe YAML where a fraction stays text and a key can be given once.

    ``python_version: 3.10`` means 3.10, not the number 3.1; cog.yaml has no key that is a fraction.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is set twice", key.start_mark)
                seen.add(key.value)
        return {str(key): value for key, value in super().construct_mapping(node, deep=deep).items()}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def _problems(path: Path, error: pydantic.ValidationError) -> Iterable[str]:
    for item in error.errors():
        keys = [*item["loc"]]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys).lstrip(".")
        yield f"{path}: {place}: {_problem(item, keys)}" if place else f"{path}: {_message(item)}"


def _problem(item: Any, keys: list[int | str]) -> str:
    if item["type"] == "missing":
        return "is missing; add it" + (', such as python_version: "3.13"' if keys[-1] == "python_version" else "")
    return f"{_shown(item['input'])}: {_message(item)}"


def _message(item: Any) -> str:
    message: str = item["msg"]
    message = re.sub(r"a valid dictionary or instance of \w+", "a section with keys of its own", message)
    return message.removeprefix("Value error, ").removeprefix("Input ")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

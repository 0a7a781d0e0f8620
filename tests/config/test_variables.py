"""The table of environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight import tracing
from pilotlight.config import VARIABLES, unknown_variables
from pilotlight.config import variables as table
from pilotlight.errors import ConfigError
from tests.paths import ROOT

NAME = re.compile(r"PILOTLIGHT_[A-Z][A-Z_]*[A-Z]")
TABLE = ROOT / "pilotlight/config/variables.py"
CONSTANTS = {value.name: name for name, value in vars(table).items() if isinstance(value, table.Variable)}
SUFFIXES = ("", ".py", ".sh", ".yaml", ".Dockerfile", ".mjs", ".txt")
OURS = {variable.name for variable in VARIABLES}


def sources() -> Iterator[Path]:
    """The files of the product and the scripts that may name a variable, but for the table itself."""
    yield from (ROOT / "predict.py", ROOT / "cog.yaml")
    for folder in ("pilotlight", "examples", "images", "scripts"):
        for path in sorted((ROOT / folder).rglob("*")):
            kept = path.suffix in SUFFIXES and not {".cog", "__pycache__", ".venv", "weights"} & set(path.parts)
            if kept and path.is_file() and path != TABLE:
                yield path


def test_every_variable_that_the_code_names_is_in_the_table() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sources()
        for name in NAME.findall(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert {(path, name) for path, name in named if name not in OURS} == set()


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_of_the_table_is_read_somewhere(variable: table.Variable[object]) -> None:
    used = re.compile(rf"\b{CONSTANTS[variable.name]}\.(read|name|default)\b|\b{variable.name}\b")
    assert any(used.search(path.read_text(encoding="utf-8", errors="replace")) for path in sources())


def test_the_table_has_every_constant_once_and_says_all_about_it() -> None:
    named = [variable.name for variable in VARIABLES]
    assert len(named) == len(set(named))
    assert set(named) == {name for name in CONSTANTS if name.startswith(table.PREFIX)}
    for variable in VARIABLES:
        assert variable.about.endswith(".")
        assert variable.expected
        assert variable.reader
        assert variable.default is not None or variable.shown, f"{variable.name}: what is its default?"
    assert table.STAMPS.name == tracing.VARIABLE


def test_a_variable_that_is_not_set_or_empty_has_its_default() -> None:
    assert table.BATCH.read({}) == table.BATCH.read({"PILOTLIGHT_BATCH": ""}) == 32
    assert table.BATCH.read({"PILOTLIGHT_BATCH": "7"}) == 7
    assert table.HOME.read({"PILOTLIGHT_HOME": "/srv/home"}) == Path("/srv/home")
    assert table.STAGED.read({"PILOTLIGHT_STAGED": "0"}) == "0"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH", "0", "a whole number of at least 1"),
        ("BATCH", "1.5", "a whole number of at least 1"),
        ("BATCH_WAIT_MS", "-1", "a number of at least 0"),
        ("BATCH_WAIT_MS", "nan", "a number of at least 0"),
        ("BATCH_WAIT_MS", "inf", "a number of at least 0"),
        ("ENGINE", "tensorrt", "one of auto, openvino, onnx, torch"),
        ("POOLING", "median", "auto, mean, cls, last, max, weighted or sqrt"),
        ("STAGED", "no", "1, 0 to be ready only once all of it is up, or first to load no more than the first stage"),
        ("READ_AHEAD", "off", "1, or 0 to leave reading to the predictor"),
        ("SERVE_ON", "heroku", "one of cog, runpod, vertex, sagemaker, ray"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(name: str, value: str, expected: str) -> None:
    variable: table.Variable[object] = getattr(table, name)
    with pytest.raises(ConfigError) as caught:
        variable.read({variable.name: value})
    assert str(caught.value) == f"PILOTLIGHT_{name} is {value!r}; expected {expected}"


def test_an_unknown_name_is_told_with_the_closest_one() -> None:
    environ = {"PILOTLIGHT_MODLE": "x", "PILOTLIGHT_ENGINE": "torch", "PILOTLIGHT_COLOUR": "red", "PATH": "/bin"}
    colour, modle = unknown_variables(environ)
    assert modle == "PILOTLIGHT_MODLE is set, but pilotlight has no such setting; did you mean PILOTLIGHT_MODEL?"
    assert colour.endswith("no such setting; docs/reference/settings.md lists those there are")
    assert unknown_variables(dict.fromkeys(OURS, "")) == []

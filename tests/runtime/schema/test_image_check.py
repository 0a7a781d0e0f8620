"""What is said where the image that Cog builds would differ from what runs here."""

from pathlib import Path

import pytest

from pilotlight.runtime import Project
from pilotlight.runtime.schema.image_check import build_refusal, image_warning


def _project(folder: Path, parameter: str, before: str = "") -> Project:
    (folder / "cog.yaml").write_text("run: run.py:run\n", encoding="utf-8")
    text = f"from cog import Input, Path\n{before}\ndef run({parameter}) -> str:\n    return 'ok'\n"
    (folder / "run.py").write_text(text, encoding="utf-8")
    return Project.load(folder)


@pytest.mark.parametrize(
    ("parameter", "before", "message"),
    [
        ("s: str = Input(choices=('a', 'b'))", "", "run.py:3: parameter s: the choices ('a', 'b') are not read"),
        ("s: str = Input(choices=D.keys())", "D = {'a': 1, 'b': 2}", "run.py:3: parameter s: the choices D.keys()"),
        ("s: Strs", "Strs = list[str]", "run.py:3: parameter s: the type Strs is not supported; write one of str"),
        ("s: int = 'x'", "", "run.py: parameter s: its type and limits do not allow its default 'x'; correct it"),
        ("s: int = Input(default=1, ge=2)", "", "run.py: parameter s: its type and limits do not allow its default 1"),
        ("s: str = Input(default='b', choices=['a'])", "", "do not allow its default 'b'"),
        ("s: str = Input(default='b', regex='[')", "", "its regex '[' cannot be compiled"),
        (
            "s: str = Input(regex='(?=a)')",
            "",
            "its regex '(?=a)' cannot be compiled by Cog's build tool, which takes no",
        ),
        ("größe: str = Input(choices=['a', 'b'])", "", "an input with choices needs a name of letters a to z"),
    ],
)
def test_what_cog_build_refuses(tmp_path: Path, parameter: str, before: str, message: str) -> None:
    project = _project(tmp_path, parameter, before)
    refusal = build_refusal(project)
    assert refusal is not None
    assert refusal.startswith("cog build refuses this predictor: ")
    assert message in refusal
    assert image_warning(project) == refusal


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            "s: str = Input(default=str('a'))",
            "run.py:3: default=str('a') is not read from source, so s is required; write default=... with a literal",
        ),
        ("s: str = Input('a')", "run.py:3: 'a' is not read from source, so s is required; write default=..."),
        ("s: str = Input(default=f'a{1}')", "default=f'a{1}' is not read from source, so s is required"),
        (
            "s: int = Input(ge=1,\n le=2 * 2)",
            "run.py:4: le=2 * 2 is not read from source, so s has no le; write le=...",
        ),
        ("s: str = Input(regex='a' + 'b')", "regex='a' + 'b' is not read from source, so s has no regex"),
        (
            "s: str = Input(description='It is ' 'long')",
            "run.py:3: the description of s is a string in pieces, and has the quotes between them in it; write one",
        ),
        ("s: str = Shared.text", "run.py:2: max_length=LONG is not read from source, so s has no max_length"),
    ],
)
def test_what_the_build_passes_over(tmp_path: Path, parameter: str, message: str) -> None:
    project = _project(tmp_path, parameter, before="class Shared: text = Input(max_length=LONG)")
    warning = image_warning(project)
    assert warning is not None
    assert message in warning
    assert "\n" not in warning
    assert build_refusal(project) is None


@pytest.mark.parametrize(
    "parameter",
    [
        "s: int = Input(default=3, le=4)",
        "s: str | None = None",
        "s: Path",
        "*, s: str",
        "s: int = Input(default=None, ge=None)",
        "s: int | None = Input(default=int('3'))",
    ],
)
def test_nothing_is_said_of_what_is_the_same(tmp_path: Path, parameter: str) -> None:
    project = _project(tmp_path, parameter)
    assert image_warning(project) is None


def test_a_regex_is_searched_for_in_a_default(tmp_path: Path) -> None:
    assert build_refusal(_project(tmp_path, "s: str = Input(default='ab', regex='b')")) is None


def test_a_schema_of_its_own_is_taken_by_cog_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = _project(tmp_path, "s: tuple")
    assert build_refusal(project) is not None
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", "own.json")
    assert build_refusal(project) is None
    assert image_warning(project) is None


def test_syntax_of_another_python_is_not_judged(tmp_path: Path) -> None:
    project = _project(tmp_path, "s: str", before="from nowhere import")
    assert build_refusal(project) is None

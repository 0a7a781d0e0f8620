"""The schema of a predictor: its exact shape, when it is read anew, and what is said when it cannot be."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ConfigError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.image_check import image_warning
from pilotlight.runtime.schema.schema_file import ensure_schema, schema_for
from tests.paths import PROJECTS
from tests.runtime.schema.projects import imports_of, project_with, runner

HERE = Path(__file__).parent


def inputs_of(project: Project) -> dict[str, Any]:
    schema: dict[str, Any] = schema_for(project)["components"]["schemas"]["Input"]
    return schema


def test_the_document_is_what_cogs_build_tool_writes(tmp_path: Path) -> None:
    """The expected file is written by hand, from the rules in ``openapi_spec.go``."""
    project = Project.load(shutil.copytree(PROJECTS / "types_inputs", tmp_path / "inputs"))
    expected = json.loads((HERE / "types_inputs.openapi.json").read_text())
    document = schema_for(project)
    assert document == expected
    assert list(document["components"]["schemas"]["Input"]["properties"]) == list(
        expected["components"]["schemas"]["Input"]["properties"]
    )


def test_the_file_differs_from_the_document_only_in_allowing_events(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("text: str"))
    path = ensure_schema(project)
    assert path == tmp_path / ".cog" / "openapi_schema.json"
    document = schema_for(project)
    assert "x-cog-streaming" not in document["paths"]["/predictions"]["post"]
    document["paths"]["/predictions"]["post"]["x-cog-streaming"] = True
    assert json.loads(path.read_text()) == document


def test_a_function_can_be_the_predictor(tmp_path: Path) -> None:
    project = project_with(tmp_path, "def run(n: int) -> int:\n    return n\n", ref="app.py:run")
    assert inputs_of(project)["properties"] == {"n": {"x-order": 0, "title": "N", "type": "integer"}}


def test_annotations_may_be_text(tmp_path: Path) -> None:
    source = """
        from __future__ import annotations
        from cog import BaseRunner, Input

        class Predictor(BaseRunner):
            def run(self, count: int | None = Input(default=None, ge=1)) -> str:
                ...
    """
    expected = {"x-order": 0, "title": "Count", "type": "integer", "nullable": True, "default": None, "minimum": 1}
    assert inputs_of(project_with(tmp_path, source))["properties"]["count"] == expected


def test_what_can_be_left_out(tmp_path: Path) -> None:
    required = [
        "int",
        "str | int",
        "str | int | None",
        "list[str]",
        "Secret",
        "int = None",
        "int = Input(default=None)",
        "int = Input(description='no default')",
        "Secret = Input(description='no default')",
        "Any = None",
    ]
    optional = [
        "int = 1",
        "Optional[int] = Input(description='no default')",
        "Optional[List[str]] = Input(description='no default')",
        "str | int | None = None",
        "Secret = Input(default=None)",
        "str = Input(default='')",
        "bool = False",
    ]
    parameters = [f"r{number}: {text}" for number, text in enumerate(required)]
    parameters += [f"o{number}: {text}" for number, text in enumerate(optional)]
    parameters.insert(5, "bare: Optional[int]")
    inputs = inputs_of(project_with(tmp_path, runner(", ".join(parameters))))
    assert inputs["required"] == [f"r{number}" for number in range(len(required))]
    assert len(inputs["properties"]) == len(required) + len(optional) + 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (runner("n: tuple"), "predict.py:7: parameter n: the type tuple is not supported; write one of str"),
        (runner("n: Path | str"), "predict.py:7: parameter n: Path, File and Secret are not supported in a union"),
        (runner("n=1"), "predict.py:7: parameter n has no type; write n: str = ... or another type"),
        (runner("n: 'Nowhere'"), "predict.py:7: parameter n: the type Nowhere is not supported"),
        (runner("n: int", result="None"), "the output of run(): None alone is not supported; write a plain type"),
        (runner("n: int", result="Optional[str]"), "the output of run(): an output cannot be Optional"),
        (runner("n: int", result="str | int"), "the output of run(): a union cannot be an output"),
        (runner("n: int", result="tuple[int]"), "the output of run(): tuple[...] is not supported as an output"),
        (runner("n: int", result="ConcatenateIterator[int]"), "write ConcatenateIterator[str]"),
        (runner("n: int", result="ConcatenateIterator"), "the type ConcatenateIterator is not supported"),
        (runner("n: int", result="Iterator"), "the type Iterator is not supported"),
        (
            runner("n: int", head="class Out(BaseModel):\n    x: set[int]", result="Out"),
            "field x: set[...] is not supported as an output",
        ),
        (
            runner("n: int", decorator="@streaming").replace(
                "import *\nimport", "import *\nfrom cog import streaming\nimport"
            ),
            "predict.py:8: @streaming needs an output that is an Iterator",
        ),
        ("class Predictor:\n    pass\n", "predict.py:1: Predictor has no run(); add it"),
        (
            "class Other:\n    def run(self) -> str: ...\n",
            "there is no class or function Predictor at the top of the file",
        ),
        ("Predictor = 5\n", "there is no class or function Predictor at the top of the file"),
    ],
)
def test_a_signature_that_neither_the_build_takes_nor_an_import_explains(
    tmp_path: Path, source: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_schema(project_with(tmp_path, source))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}: cog build refuses this predictor: predict.py:")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("n: str = Input(choices=['one'])", {}),
        ("n: float = Input(choices=[0.5, 1.5])", {}),
        ("n: bool = Input(choices=[True, False])", {}),
        ("n: Optional[str] = Input(choices=['a', None])", {"nullable": True}),
        ("n: int = Input(choices=[1, 2], ge=1)", {"minimum": 1}),
        ("n: str = Input(ge=1)", {"minimum": 1}),
        ("n: Secret = Input(max_length=3)", {"maxLength": 3}),
        ("n: str = Input(regex='b', default='abc')", {"pattern": "b", "default": "abc"}),
        ("n: Dict", {"type": "object"}),
    ],
)
def test_what_cog_serves_is_served_and_nothing_is_imported(
    tmp_path: Path, parameter: str, expected: dict[str, Any]
) -> None:
    project = project_with(tmp_path, "raise ValueError('must not be imported')\n" + runner(parameter))
    assert expected.items() <= inputs_of(project)["properties"]["n"].items()


@pytest.mark.parametrize(
    ("head", "result"),
    [
        ("class Out(TypedDict):\n    x: NotRequired[Optional[str]]", "Out"),
        ("import pydantic.v1\nclass Out(pydantic.v1.BaseModel):\n    x: Optional[str]", "Out"),
        ("class Out(BaseModel):\n    x: Optional[str]", "list[Out]"),
    ],
)
def test_an_output_that_cog_serves_is_served(tmp_path: Path, head: str, result: str) -> None:
    head = "raise ValueError('must not be imported')\nfrom pydantic import BaseModel\n" + head
    document = schema_for(project_with(tmp_path, runner("n: int", head=head, result=result)))
    output = document["components"]["schemas"]["Output"]
    assert output.get("items", output)["properties"]["x"]["nullable"] is True


IMPORTED = """
    from cog import Input
    from pathlib import Path

    with open("imports.txt", "a") as file:
        file.write("once\\n")

    KINDS = {{"a": 1, "b": 2}}

    class Predictor:
        def run(self, kind: str = Input({argument})) -> str:
            return kind
"""


def test_where_the_build_refuses_and_the_server_would_not_the_predictor_is_imported_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, IMPORTED.format(argument="choices=tuple(KINDS)"))
    assert schema_for(project)["components"]["schemas"]["kind"]["enum"] == ["a", "b"]
    assert schema_for(project)["components"]["schemas"]["kind"]["enum"] == ["a", "b"]
    assert imports_of(project) == 1
    assert "predict.py:11: parameter kind: the choices tuple(KINDS) are not read" in str(image_warning(project))


def test_a_value_that_the_build_does_not_read_is_not_in_the_document(tmp_path: Path) -> None:
    project = project_with(tmp_path, IMPORTED.format(argument="default=str('a'), max_length=len(KINDS)"))
    assert inputs_of(project) == {
        "title": "Input",
        "type": "object",
        "properties": {"kind": {"x-order": 0, "title": "Kind", "type": "string"}},
        "required": ["kind"],
    }
    assert imports_of(project) == 0


def test_both_handlers_are_in_the_document_of_a_project_that_trains(tmp_path: Path) -> None:
    project_with(tmp_path, runner("n: int"))
    (tmp_path / "train.py").write_text("def train(steps: int) -> str: ...\n")
    (tmp_path / "cog.yaml").write_text("run: predict.py:Predictor\ntrain: train.py:train\n")
    document = schema_for(Project.load(tmp_path))
    assert document["components"]["schemas"]["TrainingInput"]["required"] == ["steps"]
    assert {"/predictions", "/trainings"} <= document["paths"].keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("predict.py", runner("n: int", head="from answer import Part", result="dict[str, str]")),
        ("answer.py", "from other import Part"),
        ("part.py", "from pydantic import BaseModel\nclass Part(BaseModel):\n    y: str"),
        ("cog.yaml", "run: other.py:Predictor\n"),
    ],
)
def test_a_change_of_any_file_that_was_read_is_noticed(tmp_path: Path, name: str, text: str) -> None:
    project = project_with(tmp_path, runner("n: int", head="from answer import Part", result="Part"))
    for file, answer in (("answer.py", "from part import Part"), ("other.py", runner("n: int"))):
        (tmp_path / file).write_text(answer)
    (tmp_path / "part.py").write_text("from pydantic import BaseModel\nclass Part(BaseModel):\n    x: str")
    assert "x" in schema_for(project)["components"]["schemas"]["Output"]["properties"]
    (tmp_path / "other.py").write_text(runner("n: int") + "class Part(BaseModel):\n    z: str\n")
    (tmp_path / name).write_text(text)
    output = schema_for(Project.load(tmp_path))["components"]["schemas"]["Output"]
    assert "x" not in output.get("properties", {})


def test_a_file_that_appears_is_noticed(tmp_path: Path) -> None:
    head = "from answer import Out\nclass Out(BaseModel):\n    x: str"
    project = project_with(tmp_path, runner("n: int", head=head, result="Out"))
    assert "x" in schema_for(project)["components"]["schemas"]["Output"]["properties"]
    (tmp_path / "answer.py").write_text("from pydantic import BaseModel\nclass Out(BaseModel):\n    y: str")
    assert "x" not in schema_for(project)["components"]["schemas"]["Output"]["properties"]


def test_many_can_ask_at_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda _: ensure_schema(project), range(4)))
    assert len(set(paths)) == 1
    assert sorted(file.name for file in paths[0].parent.iterdir()) == ["built.json", "openapi_schema.json"]


def test_the_training_function_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    project_with(tmp_path, runner("n: int"))
    (tmp_path / "train.py").write_text("def train(n=1) -> str: ...\n")
    (tmp_path / "cog.yaml").write_text("run: predict.py:Predictor\ntrain: train.py:train\n")
    with pytest.raises(ConfigError, match=r"train\.py:1: parameter n has no type"):
        schema_for(Project.load(tmp_path))


def test_a_file_that_somebody_else_wrote_or_broke_is_replaced(tmp_path: Path) -> None:
    project = project_with(tmp_path, IMPORTED.format(argument="choices=tuple(KINDS)"))
    path = ensure_schema(project)
    expected = path.read_text()
    path.write_text("{}")
    assert ensure_schema(project).read_text() == expected
    assert imports_of(project) == 1
    (path.parent / "pilotlight.json").write_text('{"key": 1')
    assert ensure_schema(project).read_text() == expected
    assert imports_of(project) == 2
    assert sorted(file.name for file in path.parent.iterdir()) == ["openapi_schema.json", "pilotlight.json"]


def test_the_predictor_is_never_imported_into_this_process(tmp_path: Path) -> None:
    source = IMPORTED.format(argument="choices=tuple(KINDS)")
    project = project_with(tmp_path, "import sys\nsys.modules['leaked'] = sys\n" + textwrap.dedent(source))
    ensure_schema(project)
    assert imports_of(project) == 1
    assert "leaked" not in sys.modules
    assert "predict" not in sys.modules


def test_a_ready_made_schema_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"paths": {"/predictions": {"post": {}}}, "components": {"schemas": {"Input": {"type": "object"}}}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    project = project_with(tmp_path, "raise ValueError('must not be imported')\n")
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", "own.json")
    assert schema_for(project) == own
    (tmp_path / "own.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"COG_OPENAPI_SCHEMA: .*own\.json describes no POST /predictions"):
        ensure_schema(project)
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", "missing.json")
    with pytest.raises(ConfigError, match=r"missing\.json cannot be read"):
        ensure_schema(project)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    (tmp_path / ".cog").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"\.cog.openapi_schema\.json cannot be written"):
        ensure_schema(project)

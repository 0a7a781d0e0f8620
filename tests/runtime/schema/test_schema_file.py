"""The schema of a predictor: its exact shape, when it is read anew, and what is said when it cannot be."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ConfigError, SetupFailedError, WorkerTimeoutError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.schema_file import ensure_schema, schema_for
from pilotlight.runtime.schema.signature import read_signatures
from tests.paths import PROJECTS

HERE = Path(__file__).parent


def project_with(folder: Path, source: str, *, ref: str = "predict.py:Predictor") -> Project:
    (folder / "cog.yaml").write_text(f'build:\n  python_version: "3.11"\nrun: "{ref}"\n')
    (folder / ref.partition(":")[0]).write_text(textwrap.dedent(source))
    return Project.load(folder)


def runner(signature: str, *, head: str = "", result: str = "str", decorator: str = "") -> str:
    return (
        "from typing import *\nfrom cog import *\nimport cog\n"
        f"{head}\n"
        "class Predictor(BaseRunner):\n"
        f"    {decorator}\n"
        f"    def run(self, {signature}) -> {result}:\n"
        "        ...\n"
    )


def inputs_of(project: Project) -> dict[str, Any]:
    schema: dict[str, Any] = schema_for(project)["components"]["schemas"]["Input"]
    return schema


def imports_of(project: Project) -> int:
    """How often the predictor was imported: it adds a line to a file each time."""
    counter = project.root / "imports.txt"
    return len(counter.read_text().splitlines()) if counter.exists() else 0


COUNTED = """
    from cog import BaseRunner
    {imports}

    with open("imports.txt", "a") as file:
        file.write("once\\n")

    class Predictor(BaseRunner):
        def run(self, name: str = {default}) -> str:
            return name
"""


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


def test_streaming_is_marked_through_other_decorators(tmp_path: Path) -> None:
    head = textwrap.dedent("""
        import functools
        def other(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                helper = lambda: function(*args, **kwargs)
                return helper()
            return wrapper
        """)
    source = runner("n: int", head=head, decorator="@other\n    @streaming()", result="Iterator[str]")
    document = schema_for(project_with(tmp_path, source))
    assert document["paths"]["/predictions"]["post"]["x-cog-streaming"] is True


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
        (runner("n: int = Input(default=11, le=10)"), "invalid default for n: int: must be at maximum 10"),
        (runner("n: str = Input(ge=1)"), "incompatible input type for ge/le: n: str"),
        (runner("n: str = Input(choices=['one'])"), "must have >= 2 elements"),
        (runner("n: str | int = Input(ge=1)"), "incompatible input type for ge/le"),
        (runner("n: str = Input(regex='^a', default='b')"), "default not a regex match"),
        (runner("n: tuple"), "invalid input field n: unsupported Cog type tuple"),
        (runner("n: Path | str"), "unsupported union member Path"),
        (runner("n"), "missing type annotation for input: n"),
        (runner("n: int = Input(accept='image/*')"), "accept is only valid on Path or File inputs, and n is neither"),
        (runner("n: 'Nowhere'"), "an annotation of Predictor.run() cannot be resolved: name 'Nowhere' is not defined"),
        (runner("n: int", result="None"), "Predictor.run() must have a return type annotation"),
        (runner("n: int", result="Optional[str]"), "Optional is not allowed as a return type"),
        (runner("n: int", result="str | int"), "a union is not allowed as a return type"),
        (runner("n: int", result="tuple[int]"), "unsupported output type: tuple"),
        (runner("n: int", result="ConcatenateIterator[int]"), "must have str elements"),
        (runner("n: int", result="ConcatenateIterator"), "write ConcatenateIterator[str]"),
        (runner("n: int", result="Iterator"), "unsupported output type: Iterator"),
        (
            runner("n: int", head="class Out(BaseModel):\n    x: set[int]", result="Out"),
            "field 'x': unsupported output type: set",
        ),
        (runner("n: int", decorator="@streaming"), "@streaming on Predictor.run() requires the return type Iterator"),
        ("class Predictor:\n    pass\n", "run or predict method not found: Predictor"),
        (
            "class Predictor:\n    def run(self) -> str: ...\n    def predict(self) -> str: ...\n",
            "must define either run() or predict(), not both",
        ),
        ("class Other:\n    def run(self) -> str: ...\n", "predict.py defines no Predictor; it defines Other"),
        ("Predictor = 5\n", "5 is neither a class nor a function"),
    ],
)
def test_a_signature_that_cog_cannot_serve_is_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_schema(project_with(tmp_path, source))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'predict.py'}:Predictor: ")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import torchh\n", "ModuleNotFoundError: No module named 'torchh' (predict.py, line 1)"),
        ("import helper\n", "ZeroDivisionError: division by zero (helper.py, line 2)"),
        ("def broken(:\n", "SyntaxError: invalid syntax (predict.py, line 1)"),
        ("raise SystemExit(3)\n", "SystemExit: 3 (predict.py, line 1)"),
        ("import os\nos._exit(7)\n", "ended Python (status 7)"),
        ("from cog import Input\nInput(default_factory=list)\n", "default_factory is not supported"),
    ],
)
def test_a_module_that_cannot_be_imported_fails_with_its_logs(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "helper.py").write_text("\n1 / 0\n")
    project = project_with(tmp_path, source)
    with pytest.raises(SetupFailedError) as caught:
        ensure_schema(project)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "importlib" not in caught.value.logs


def test_the_logs_of_a_failed_import_hold_what_was_printed_and_where_it_failed(tmp_path: Path) -> None:
    project = project_with(tmp_path, "print('loading')\nraise ValueError('two\\nlines')\nclass Predictor: ...\n")
    with pytest.raises(SetupFailedError) as caught:
        ensure_schema(project)
    assert "loading\n" in caught.value.logs
    assert "predict.py" in caught.value.logs
    assert "raise ValueError" in caught.value.logs


def test_an_unchanged_predictor_is_imported_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, COUNTED.format(imports="", default="'a'"))
    first = ensure_schema(project).read_text()
    assert ensure_schema(Project.load(tmp_path)).read_text() == first
    assert schema_for(project)["info"]["title"] == "Cog"
    assert imports_of(project) == 1


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("predict.py", COUNTED.format(imports="", default="'a'"), COUNTED.format(imports="", default="'b'")),
        ("helper.py", "DEFAULT, LOADED = 'a', ''", "DEFAULT, LOADED = 'b', ''"),
        ("default.json", '"a"', '"b"'),
    ],
)
def test_a_change_is_noticed_wherever_the_signature_comes_from(
    tmp_path: Path, name: str, before: str, after: str
) -> None:
    texts = {
        "predict.py": COUNTED.format(imports="from helper import DEFAULT, LOADED", default="DEFAULT or LOADED"),
        "helper.py": "import json\nDEFAULT = ''\nLOADED = json.load(open('default.json'))",
        "default.json": '"x"',
    }
    texts[name] = before
    for file, text in texts.items():
        (tmp_path / file).write_text(textwrap.dedent(text))
    (tmp_path / "cog.yaml").write_text("run: predict.py:Predictor\n")
    project = Project.load(tmp_path)
    assert inputs_of(project)["properties"]["name"]["default"] == "a"
    (tmp_path / name).write_text(textwrap.dedent(after))
    assert inputs_of(project)["properties"]["name"]["default"] == "b"
    assert imports_of(project) == 2


def test_a_module_that_appears_is_noticed(tmp_path: Path) -> None:
    source = """
        from cog import BaseRunner
        try:
            from local import DEFAULT
        except ImportError:
            DEFAULT = "none"

        class Predictor(BaseRunner):
            def run(self, name: str = DEFAULT) -> str:
                return name
    """
    project = project_with(tmp_path, source)
    assert inputs_of(project)["properties"]["name"]["default"] == "none"
    (tmp_path / "local.py").write_text("DEFAULT = 'local'\n")
    assert inputs_of(project)["properties"]["name"]["default"] == "local"


def test_the_projects_variables_are_seen_by_the_import_and_by_the_cache(tmp_path: Path) -> None:
    source = """
        import os
        from cog import BaseRunner

        class Predictor(BaseRunner):
            def run(self, name: str = os.environ["NAME"]) -> str:
                return name
    """
    project_with(tmp_path, source)
    for value in ("one", "two"):
        (tmp_path / "cog.yaml").write_text(f"run: predict.py:Predictor\nenvironment: [NAME={value}]\n")
        assert inputs_of(Project.load(tmp_path))["properties"]["name"]["default"] == value


def test_many_can_ask_at_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda _: ensure_schema(project), range(4)))
    assert len(set(paths)) == 1
    assert sorted(file.name for file in paths[0].parent.iterdir()) == ["openapi_schema.json", "pilotlight.json"]


def test_an_import_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    project = project_with(tmp_path, "import threading\nthreading.Event().wait()\n")
    with pytest.raises(WorkerTimeoutError, match=r"predict\.py:Predictor was not imported within 0\.5 s"):
        read_signatures(project, Path(sys.executable), import_limit_s=0.5)


def test_the_training_function_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    project_with(tmp_path, runner("n: int"))
    (tmp_path / "train.py").write_text("def train(n) -> str: ...\n")
    (tmp_path / "cog.yaml").write_text("run: predict.py:Predictor\ntrain: train.py:train\n")
    with pytest.raises(ConfigError, match=r"train\.py:train: missing type annotation for input: n"):
        schema_for(Project.load(tmp_path))


def test_a_file_that_somebody_else_wrote_or_broke_is_replaced(tmp_path: Path) -> None:
    project = project_with(tmp_path, COUNTED.format(imports="", default="'a'"))
    path = ensure_schema(project)
    expected = path.read_text()
    path.write_text("{}")
    assert ensure_schema(project).read_text() == expected
    assert imports_of(project) == 1
    (path.parent / "pilotlight.json").write_text('{"key": 1')
    assert ensure_schema(project).read_text() == expected
    assert imports_of(project) == 2
    assert sorted(file.name for file in path.parent.iterdir()) == ["openapi_schema.json", "pilotlight.json"]


def test_the_predictor_is_never_imported_here(tmp_path: Path) -> None:
    project = project_with(tmp_path, "import sys\nsys.modules['leaked'] = sys\n" + runner("n: int"))
    ensure_schema(project)
    assert "leaked" not in sys.modules
    assert "predict" not in sys.modules


def test_modules_named_like_ours_are_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "schema.py").write_text("NAMES = 'mine'\n")
    (tmp_path / "project.py").write_text("from schema import NAMES\n")
    project = project_with(tmp_path, "from project import NAMES\n" + runner("n: str = NAMES"))
    assert inputs_of(project)["properties"]["n"]["default"] == "mine"


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


def test_a_python_without_cog_is_named(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    # -S leaves out site-packages, where cog is.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ConfigError, match=r"No module named 'cog'\); install it: pip install cog==0\.23\.1"):
        ensure_schema(project, python=bare)
    with pytest.raises(ConfigError, match="cannot be run: No such file or directory"):
        ensure_schema(project, python=tmp_path / "nowhere")
    bare.chmod(0o644)
    with pytest.raises(ConfigError, match="cannot be run: Permission denied"):
        ensure_schema(project, python=bare)
    bare.write_text("#!/nowhere/python\n")
    bare.chmod(0o755)
    with pytest.raises(ConfigError, match=r"cannot be run: .+; give the project"):
        ensure_schema(project, python=bare)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    (tmp_path / ".cog").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"\.cog.pilotlight\.json cannot be written"):
        ensure_schema(project)


AS_IN_A_WORKER = """
    import argparse, sys, threading
    from cog import BaseRunner

    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3)
    STEPS = parser.parse_args().steps
    NAME = sys.argv[1] if len(sys.argv) > 1 else "none"
    SCRIPT = hasattr(sys.modules["__main__"], "__file__")
    sys.stderr.close()

    class Predictor(BaseRunner):
        def run(self, steps: int = STEPS, name: str = NAME, script: bool = SCRIPT) -> str:
            return name
"""


def test_a_module_is_imported_as_in_cogs_worker(tmp_path: Path) -> None:
    properties = inputs_of(project_with(tmp_path, AS_IN_A_WORKER))["properties"]
    assert {name: one["default"] for name, one in properties.items()} == {"steps": 3, "name": "none", "script": False}


def test_threads_and_children_of_a_module_do_not_keep_the_reader_and_end_with_it(tmp_path: Path) -> None:
    source = """
        import subprocess, sys, threading
        from pathlib import Path
        from cog import BaseRunner

        threading.Thread(target=threading.Event().wait).start()
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        Path("child.txt").write_text(str(child.pid))

        class Predictor(BaseRunner):
            def run(self, name: str) -> str:
                return name
        """
    assert inputs_of(project_with(tmp_path, source))["required"] == ["name"]
    stat = Path("/proc", (tmp_path / "child.txt").read_text(), "stat")
    deadline = time.monotonic() + 120
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < deadline


WITHOUT_WRAPS = """
    from __future__ import annotations
    from typing import Iterator
    from cog import BaseRunner, Input, streaming

    KINDS = ["a", "b"]

    def timed(function):
        def inner(self, **inputs):
            return function(self, **inputs)
        return inner

    class Predictor(BaseRunner):
        most = 9

        {decorators}
        def run(self, kind: str = Input(choices=KINDS), count: int = Input(default=2, le=most)) -> Iterator[str]:
            yield kind
"""


@pytest.mark.parametrize("decorators", ["@timed", "@timed\n        @streaming", "@timed\n        @timed"])
def test_a_decorator_without_wraps_hides_no_input(tmp_path: Path, decorators: str) -> None:
    project = project_with(tmp_path, WITHOUT_WRAPS.format(decorators=decorators))
    schema = inputs_of(project)
    assert schema["required"] == ["kind"]
    assert schema["properties"]["count"]["maximum"] == 9
    _, signatures = read_signatures(project, Path(sys.executable))
    assert signatures["predict"]["streaming"] == ("streaming" in decorators)
    assert [one["choices"] for one in signatures["predict"]["inputs"]] == [["a", "b"], None]

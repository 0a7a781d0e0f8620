"""What an import tells of a predictor: for those whose source alone does not, and what is said when it fails."""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ConfigError, SetupFailedError, WorkerTimeoutError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.document import document
from pilotlight.runtime.schema.signature import read_signatures
from tests.runtime.schema.projects import COUNTED, imports_of, project_with, runner


def imported(project: Project, python: Path | None = None) -> dict[str, Any]:
    cog_version, signatures = read_signatures(project, (python or Path(sys.executable)).absolute())
    return document(signatures["predict"], signatures.get("train"), cog_version=cog_version)


def inputs_of(project: Project) -> dict[str, Any]:
    schema: dict[str, Any] = imported(project)["components"]["schemas"]["Input"]
    return schema


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
    document = imported(project_with(tmp_path, source))
    assert document["paths"]["/predictions"]["post"]["x-cog-streaming"] is True


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
        imported(project)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "importlib" not in caught.value.logs


def test_the_logs_of_a_failed_import_hold_what_was_printed_and_where_it_failed(tmp_path: Path) -> None:
    project = project_with(tmp_path, "print('loading')\nraise ValueError('two\\nlines')\nclass Predictor: ...\n")
    with pytest.raises(SetupFailedError) as caught:
        imported(project)
    assert "loading\n" in caught.value.logs
    assert "predict.py" in caught.value.logs
    assert "raise ValueError" in caught.value.logs


def test_an_unchanged_predictor_is_imported_once(tmp_path: Path) -> None:
    project = project_with(tmp_path, COUNTED.format(imports="", default="'a'"))
    first = imported(project)
    assert imported(Project.load(tmp_path)) == first
    assert first["info"] == {"title": "Cog", "version": "0.23.1"}
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


def test_an_import_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    project = project_with(tmp_path, "import threading\nthreading.Event().wait()\n")
    with pytest.raises(WorkerTimeoutError, match=r"predict\.py:Predictor was not imported within 0\.5 s"):
        read_signatures(project, Path(sys.executable), import_limit_s=0.5)


def test_modules_named_like_ours_are_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "schema.py").write_text("NAMES = 'mine'\n")
    (tmp_path / "project.py").write_text("from schema import NAMES\n")
    project = project_with(tmp_path, "from project import NAMES\n" + runner("n: str = NAMES"))
    assert inputs_of(project)["properties"]["n"]["default"] == "mine"


def test_a_python_without_cog_is_named(tmp_path: Path) -> None:
    project = project_with(tmp_path, runner("n: int"))
    # -S leaves out site-packages, where cog is.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ConfigError, match=r"No module named 'cog'\); install it: pip install cog==0\.23\.1"):
        imported(project, bare)
    with pytest.raises(ConfigError, match="cannot be run: No such file or directory"):
        imported(project, tmp_path / "nowhere")
    bare.chmod(0o644)
    with pytest.raises(ConfigError, match="cannot be run: Permission denied"):
        imported(project, bare)
    bare.write_text("#!/nowhere/python\n")
    bare.chmod(0o755)
    with pytest.raises(ConfigError, match=r"cannot be run: .+; give the project"):
        imported(project, bare)


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


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("n: int = Input(default=11, le=10)", {"default": 11, "maximum": 10}),
        ("n: str = Input(ge=1)", {"minimum": 1}),
        ("n: str | int = Input(ge=1)", {"minimum": 1}),
        ("n: str = Input(regex='^a', default='b')", {"pattern": "^a", "default": "b"}),
        ("n: Secret = Input(max_length=3)", {"maxLength": 3}),
        ("n: float = Input(choices=(0.5,), ge=0)", {"minimum": 0}),
        ("n: Dict", {"type": "object"}),
    ],
)
def test_limits_and_defaults_are_taken_as_they_are(tmp_path: Path, parameter: str, expected: dict[str, Any]) -> None:
    found = inputs_of(project_with(tmp_path, runner(parameter)))["properties"]["n"]
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    "head",
    [
        "class Out(TypedDict):\n    text: NotRequired[Optional[str]]\n    more: Required[Dict]",
        "import pydantic.v1\nclass Out(pydantic.v1.BaseModel):\n    text: Optional[str]\n    more: Dict",
        "import pydantic\nclass Out(pydantic.BaseModel):\n    text: Optional[str]\n    more: Dict",
    ],
)
def test_outputs_with_an_optional_text_and_any_dictionary(tmp_path: Path, head: str) -> None:
    document = imported(project_with(tmp_path, runner("n: int", head=head, result="Out")))
    output = document["components"]["schemas"]["Output"]
    assert output["properties"] == {
        "text": {"title": "Text", "type": "string", "nullable": True},
        "more": {"title": "More", "type": "object"},
    }
    assert output["required"] == ["more"]

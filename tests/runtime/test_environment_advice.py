"""What is added to the message of a predictor that does not load."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.runtime.environment_advice import environment_advice
from pilotlight.runtime.project import Project

HERE = Path(sys.executable)
OTHER = Path("/somewhere/bin/python")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MISSING = "failed to load predictor: ModuleNotFoundError: No module named 'torchh'"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "cog.yaml").write_text("run: run.py:run\n")
    (tmp_path / "run.py").write_text("def run() -> str: ...\n")
    return Project.load(tmp_path)


def test_a_missing_module_names_the_requirements_and_the_option(project: Project) -> None:
    advice = environment_advice(MISSING, project, OTHER)
    assert advice == (
        f"; {OTHER} does not have it: install what cog.yaml lists, or give the Python that has it with --python"
    )
    listed = replace(project, requirements=project.root / "requirements.txt")
    command = f"run {OTHER} -m pip install -r {project.root / 'requirements.txt'}, or give"
    assert command in environment_advice(MISSING, listed, OTHER)


@pytest.mark.parametrize(
    "reason",
    [
        "SyntaxError: invalid syntax (run.py, line 1)",
        "ImportError: cannot import name 'override' from 'typing'",
        "AttributeError: module 'itertools' has no attribute 'batched'",
        MISSING,
    ],
)
def test_a_project_for_another_python_names_both_and_the_option(project: Project, reason: str) -> None:
    advice = environment_advice(reason, replace(project, python_version="3.99.1"), HERE)
    assert f"; the project is for Python 3.99 and this is {VERSION}: give a Python 3.99 with --python" in advice


@pytest.mark.parametrize(
    ("reason", "version", "python"),
    [
        ("SyntaxError: invalid syntax", None, HERE),
        ("SyntaxError: invalid syntax", VERSION, HERE),
        ("SyntaxError: invalid syntax", f"{VERSION}.4", HERE),
        ("SyntaxError: invalid syntax", "3.99", OTHER),
        ("ValueError: no weights", "3.99", HERE),
    ],
)
def test_nothing_is_said_where_the_environment_is_not_the_reason(
    project: Project, reason: str, version: str | None, python: Path
) -> None:
    assert environment_advice(reason, replace(project, python_version=version), python) == ""

"""Every program in scripts/ runs from anywhere, explains itself, and is named by the documentation or by a test.

A Python file without an interpreter line is a module of the programs beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT, SCRIPTS

FOLDERS = ("checks", "dev", "measure", "train")
FIXED = ("check", "predict", "setup-venv", "test")
FILES = sorted(path for folder in (".", *FOLDERS) for path in (SCRIPTS / folder).iterdir() if path.is_file())
PROGRAMS = [path for path in FILES if path.read_text().startswith("#!")]
PYTHON = [path for path in PROGRAMS if path.suffix == ".py"]
MODULES = [path for path in FILES if path not in PROGRAMS]


def name(path: Path) -> str:
    return path.relative_to(SCRIPTS).as_posix()


def test_every_script_is_in_a_folder_but_those_that_users_run() -> None:
    files = (path for path in SCRIPTS.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    entries = {path.relative_to(SCRIPTS).parts[0] for path in files}
    assert entries == {*FIXED, *FOLDERS, "baselines"}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_module_is_imported_by_a_program_and_is_none_itself(module: Path) -> None:
    full = ".".join(module.relative_to(ROOT).with_suffix("").parts)
    assert any(f"from {full} import" in program.read_text() for program in PROGRAMS)
    assert "__main__" not in module.read_text()


@pytest.mark.parametrize("script", PROGRAMS, ids=name)
def test_script_is_executable_and_names_its_interpreter(script: Path) -> None:
    first = script.read_text().splitlines()[0]
    assert first == ("#!/usr/bin/env python" if script in PYTHON else "#!/usr/bin/env bash")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", PROGRAMS, ids=name)
def test_script_is_named_by_the_documentation_or_a_test(script: Path) -> None:
    tests = (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *tests]
    pattern = re.compile(rf"scripts/{re.escape(name(script).removesuffix('.py'))}\b")
    assert any(pattern.search(path.read_text()) for path in texts)


@pytest.mark.parametrize("script", PYTHON, ids=name)
def test_python_script_explains_itself(script: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
    assert "--" in result.stdout.replace("--help", "")


@pytest.mark.parametrize("script", [path for path in PROGRAMS if path not in PYTHON], ids=name)
def test_shell_script_is_strict_and_explains_itself(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[1].startswith("# ")
    assert "set -euo pipefail" in lines


def test_ci_runs_the_two_scripts_and_nothing_else() -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set -", "root="))]
    assert commands == ['"$root/scripts/check"', '"$root/scripts/test" --coverage']
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    # The environment is made by the Python of the matrix: scripts/setup-venv keeps one that is there.
    job, _, audit = workflow.partition("\n  audit:\n")
    assert re.findall(r"run: (.+)", job) == ["python -m venv .venv", ".ci/run"]
    # The one thing that needs more than this repository: the data base of known vulnerabilities.
    assert re.findall(r"run: (\S+)", audit) == ["pip", "pip-audit"]


def test_ci_runs_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: Python :: 3\.\d", name)]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["ci"]["strategy"]["matrix"]["python-version"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_hooks_before_a_commit_call_our_own_tools() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    entries = {hook["id"]: hook["entry"] for hook in hooks[0]["hooks"]}
    assert entries == {"check": "scripts/check", "test": "scripts/test --fast"}


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-r ")))


def test_requirements_are_pinned_and_agree_with_the_package() -> None:
    image, cpu = pins("requirements.txt"), pins("requirements-cpu.txt")
    assert image | cpu == cpu | image, "requirements-cpu.txt has other versions than requirements.txt"
    assert image.keys() - cpu.keys() == {"torch", "transformers"}
    installed = image | cpu | pins("requirements-dev.txt")
    assert all(re.fullmatch(r"\d+(\.\d+)+(\.post\d+)?", version) for version in installed.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"].values():
        for requirement in extra:
            package, version = requirement.split("==")
            assert installed.get(package, version) == version
    floors = dict(requirement.split(">=") for requirement in project["dependencies"])
    assert floors.keys() <= installed.keys()

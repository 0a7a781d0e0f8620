"""Every file in scripts/ can be run, explains itself, and is known to the README or to a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())
PYTHON = [path for path in SCRIPTS if path.suffix == ".py"]


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_script_is_executable_and_names_its_interpreter(script: Path) -> None:
    first = script.read_text().splitlines()[0]
    assert first == ("#!/usr/bin/env python" if script in PYTHON else "#!/usr/bin/env bash")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_script_is_named_by_the_readme_or_a_test(script: Path) -> None:
    texts = [ROOT / "README.md", *(p for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__))]
    pattern = re.compile(rf"scripts[/.]{re.escape(script.name.removesuffix('.py'))}\b")
    assert any(pattern.search(path.read_text()) for path in texts)


@pytest.mark.parametrize("script", PYTHON, ids=name)
def test_python_script_explains_itself(script: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
    assert "--" in result.stdout.replace("--help", "")


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path not in PYTHON], ids=name)
def test_shell_script_is_strict_and_explains_itself(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[1].startswith("# ")
    assert "set -euo pipefail" in lines


def test_ci_runs_the_two_scripts_and_nothing_else() -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set -", "root="))]
    assert commands == ['"$root/scripts/check"', '"$root/scripts/test"']
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert re.findall(r"run: (.+)", workflow) == [".ci/run"]


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-r ")))


def test_requirements_are_pinned_and_agree_with_the_package() -> None:
    installed = pins("requirements.txt") | pins("requirements-run.txt") | pins("requirements-dev.txt")
    assert all(re.fullmatch(r"\d+(\.\d+)+(\.post\d+)?", version) for version in installed.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"].values():
        for requirement in extra:
            package, version = requirement.split("==")
            assert installed.get(package, version) == version
    floors = dict(requirement.split(">=") for requirement in project["dependencies"])
    assert floors.keys() <= installed.keys()

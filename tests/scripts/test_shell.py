"""scripts/setup-venv, scripts/predict, scripts/test and scripts/check, in a checkout of a stub package.

The checkout has our scripts, requirement files that ask for nothing, and a ``pilotlight`` whose commands
(``pilotlight``, ``ruff``, ``mypy`` and the module ``pytest``) print how they were called.  Its build backend is in the
tree, so that nothing is downloaded, and it can be told to block, so that an install is interrupted at a known place.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

COPIED = ("scripts/setup-venv", "scripts/predict", "scripts/test", "scripts/check")
TOOLS = ("bash", "basename", "cat", "dirname", "flock", "getconf", "grep", "ls", "mkdir", "rm", "sed", "touch")

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

BACKEND = '''
import pathlib, zipfile

COMMANDS = """
import os, pathlib, sys

def main():
    name = pathlib.Path(sys.argv[0]).name
    print(os.getcwd(), name, *sys.argv[1:], sep="|")
    return pathlib.Path(f"{name}-fails").exists()
"""
FILES = {
    "commands.py": COMMANDS,
    "pytest.py": "import commands, sys; sys.exit(commands.main())",
    "pilotlight-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: pilotlight\\nVersion: 1\\n",
    "pilotlight-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "pilotlight-1.dist-info/entry_points.txt":
        "[console_scripts]\\n" + "".join(f"{c} = commands:main\\n" for c in ("pilotlight", "ruff", "mypy")),
    "pilotlight-1.dist-info/RECORD": "",
}

def prepare_metadata_for_build_editable(folder, config_settings=None):
    for name, text in FILES.items():
        if "/" in name:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return "pilotlight-1.dist-info"

def build_editable(folder, config_settings=None, metadata_directory=None):
    if pathlib.Path("block").exists():
        pathlib.Path("block").read_text()
    with pathlib.Path("builds").open("a") as builds:
        builds.write("built\\n")
    name = "pilotlight-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for file, text in FILES.items():
            wheel.writestr(file, text)
    return name
'''


@dataclass(frozen=True, slots=True)
class Checkout:
    root: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.root / arguments[0]), *arguments[1:]]

    def run(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.root,
            env=environment() | env,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def builds(self) -> int:
        log = self.root / "builds"
        return len(log.read_text().splitlines()) if log.exists() else 0


def environment() -> dict[str, str]:
    """Ours, without what would tell the scripts or pip where to work."""
    ours = ("PILOTLIGHT_", "VIRTUAL_ENV", "PYTHON", "PIP_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"PIP_NO_INDEX": "1"}


def new_checkout(root: Path) -> Checkout:
    (root / "scripts").mkdir(parents=True)
    for name in COPIED:
        shutil.copy(ROOT / name, root / name)
    for name in ("requirements.txt", "requirements-cpu.txt", "requirements-run.txt", "requirements-dev.txt"):
        (root / name).write_text("# nothing\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    return Checkout(root)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Installed for tests and for predictions, under a path with spaces."""
    made = new_checkout(tmp_path_factory.mktemp("with spaces") / "a checkout")
    result = made.run("scripts/setup-venv", "dev")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{made.root}/.venv\n"
    assert "making" in result.stderr
    return made


def test_predict_runs_from_anywhere_and_serves_the_checkout(checkout: Checkout, tmp_path: Path) -> None:
    result = checkout.run("scripts/predict", "-i", "prompt=a b", "--project", "x", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    given = "|-i|prompt=a b|--project|x"
    assert result.stdout == f"{tmp_path}|pilotlight|predict|--project|{checkout.root}{given}\n"


def test_up_to_date_environment_is_left_alone(checkout: Checkout) -> None:
    builds = checkout.builds
    for level in ("run", "dev"):
        result = checkout.run("scripts/setup-venv", level)
        assert (result.returncode, result.stderr) == (0, "")
    assert checkout.builds == builds


def test_changed_requirements_are_installed_into_the_same_environment(checkout: Checkout) -> None:
    builds, kept = checkout.builds, checkout.root / ".venv/kept"
    kept.touch()
    (checkout.root / "requirements-run.txt").write_text("# nothing more\n")
    result = checkout.run("scripts/setup-venv", "run")
    assert "installing requirements-run.txt" in result.stderr
    assert (checkout.builds, kept.exists()) == (builds + 1, True)


PARALLEL = f"-n|{os.sysconf('SC_NPROCESSORS_ONLN') + 1}|--maxprocesses|5"


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (("-k", "a or b"), f"{PARALLEL}|-k|a or b"),
        (("tests/engines",), f"{PARALLEL}|tests/engines"),
        (("--fast", "-x"), f"{PARALLEL}|-m|not slow and not cog|-x"),
        (("--coverage",), f"{PARALLEL}|--cov|--cov-report=term:skip-covered"),
        (("tests/a b.py",), "tests/a b.py"),
        (("tests/a.py::test_it[x y]", "-x"), "tests/a.py::test_it[x y]|-x"),
        (("-n", "3"), "-n|3"),
    ],
)
def test_test_runs_pytest_in_the_checkout(
    arguments: tuple[str, ...], called: str, checkout: Checkout, tmp_path: Path
) -> None:
    result = checkout.run("scripts/test", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.replace("__main__.py", "pytest.py") == f"{checkout.root}|pytest.py|{called}\n"


def test_check_runs_every_check_and_reports_one_failure(checkout: Checkout, tmp_path: Path) -> None:
    result = checkout.run("scripts/check", cwd=tmp_path)
    calls = [line.partition("|")[2] for line in result.stdout.splitlines() if "|" in line]
    assert (result.returncode, calls) == (0, ["ruff|check|.", "ruff|format|--check|.", "mypy"])
    for name in COPIED:
        assert f"+ bash -n {name}\n" in result.stderr

    (checkout.root / "ruff-fails").touch()
    result = checkout.run("scripts/check")
    assert (result.returncode, result.stdout.count("|mypy")) == (1, 1)
    (checkout.root / "ruff-fails").unlink()

    (checkout.root / "scripts/broken").write_text("#!/usr/bin/env bash\nif true; then\n")
    result = checkout.run("scripts/check")
    assert (result.returncode, result.stdout.count("|mypy")) == (1, 1)
    (checkout.root / "scripts/broken").unlink()


def test_moved_checkout_gets_a_new_environment(checkout: Checkout) -> None:
    moved = Checkout(checkout.root.with_name("moved"))
    checkout.root.rename(moved.root)
    try:
        result = moved.run("scripts/predict")
        assert result.stdout == f"{moved.root}|pilotlight|predict|--project|{moved.root}\n"
        assert "making" in result.stderr
    finally:
        moved.root.rename(checkout.root)


def test_interrupted_install_begins_again_and_two_at_once_install_once(tmp_path: Path) -> None:
    made = new_checkout(tmp_path / "checkout")
    block = made.root / "block"
    os.mkfifo(block)
    first = subprocess.Popen(
        made.command("scripts/setup-venv", "run"), env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    with block.open("w"):  # opens when the build has come to read it
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(120)
    block.unlink()
    assert made.builds == 0

    both = [
        subprocess.Popen(
            made.command("scripts/predict", name), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for process, name in zip(both, ("a", "b"), strict=True):
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert stdout.endswith(f"|{made.root}|{name}\n")
    assert made.builds == 1


@pytest.mark.parametrize("command", ["scripts/predict", "scripts/setup-venv run", "scripts/test", "scripts/check"])
def test_without_python_the_message_says_what_to_install(command: str, tmp_path: Path) -> None:
    made = new_checkout(tmp_path / "checkout")
    tools = path_with(tmp_path / "bin", {"python3": "exit 1"})  # too old
    result = made.run(*command.split(), PATH=str(tools))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "setup-venv: no Python 3.11 or newer on PATH: install one (python3.11 to python3.14) and run this again\n"
    )
    assert not (made.root / ".venv").exists()


def test_python_without_venv_is_named(tmp_path: Path) -> None:
    made = new_checkout(tmp_path / "checkout")
    tools = path_with(tmp_path / "bin", {"python3.12": "case $2 in *ensurepip*) exit 1 ;; esac"})
    result = made.run("scripts/predict", PATH=str(tools))
    assert result.returncode == 1
    assert "python3.12 cannot make virtual environments" in result.stderr
    assert "apt install python3.12-venv" in result.stderr


def path_with(folder: Path, fakes: dict[str, str]) -> Path:
    """A folder to be the whole PATH: the tools that the scripts use, and fake commands by their shell code."""
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    for name, code in fakes.items():
        (folder / name).write_text(f"#!/bin/sh\n{code}\n")
        (folder / name).chmod(0o755)
    return folder


def test_folder_that_is_no_environment_is_refused_and_kept(tmp_path: Path) -> None:
    made = new_checkout(tmp_path / "checkout")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    result = made.run("scripts/predict", PILOTLIGHT_VENV=str(mine))
    assert result.returncode == 1
    assert f"{mine} is there and is no virtual environment" in result.stderr
    assert (mine / "letter").read_text() == "dear"


@pytest.mark.parametrize(("arguments", "status"), [(("--help",), 0), ((), 2), (("prod",), 2)])
def test_usage(arguments: tuple[str, ...], status: int) -> None:
    result = Checkout(ROOT).run("scripts/setup-venv", *arguments)
    assert result.returncode == status
    assert "PILOTLIGHT_VENV" in (result.stderr if status else result.stdout)

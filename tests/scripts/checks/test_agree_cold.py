"""scripts/checks/agree_cold.py and cold_driver.py: real Cog servers, and a program with hyperfine's interface."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.runtime import Project, ensure_schema
from scripts.checks.agree_cold import Agreement
from tests.paths import ROOT

PROJECTS = ROOT / "tests" / "cog" / "projects"
DEADLINE_S = 500

# Runs each command once without a shell, and exports its time; stretched, it lies.
HYPERFINE = """#!{python}
import json, os, shlex, subprocess, sys, time

flags = [word for word in sys.argv[1:] if word.startswith("--")]
export = flags.pop().removeprefix("--export-json=")
assert flags == ["--shell=none", "--runs=1", "--show-output"], flags  # the real one refuses --style beside them
results = []
for command in sys.argv[1:]:
    if not command.startswith("--"):
        start = time.monotonic()
        if subprocess.run(shlex.split(command)).returncode:
            sys.exit("Error: Command terminated with non-zero exit code")
        stretched = 1 if "--nothing" in command else float(os.environ["STRETCHED"])
        results.append({{"times": [(time.monotonic() - start) * stretched]}})
with open(export, "w") as file:
    json.dump({{"results": results}}, file)
"""


def agree(tmp_path: Path, *arguments: str, stretched: float = 1.0) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "hyperfine"
    program.write_text(HYPERFINE.format(python=sys.executable))
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/checks/agree_cold.py"), *arguments],
        env={**os.environ, "PATH": path, "STRETCHED": str(stretched)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_both_measure_the_same_start_and_a_wide_tolerance_accepts_it(tmp_path: Path) -> None:
    done = agree(tmp_path, str(PROJECTS / "run_lines"), "--input", '{"numbers": [1], "label": "it\'s"}', "-n", "1",
                 "--tolerance", "1000")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pilotlight ")
    assert "medians of 1 each" in done.stdout
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["not counted", "round 1 of 1"]


def test_a_disagreement_is_status_1(tmp_path: Path) -> None:
    done = agree(tmp_path, str(PROJECTS / "run_lines"), "--input", '{"numbers": []}', "-n", "1", stretched=1000)
    assert done.returncode == 1
    assert "ratio 0.00" in done.stdout


def test_a_project_that_does_not_start(tmp_path: Path) -> None:
    done = agree(tmp_path, str(PROJECTS / "run_broken"))
    assert done.returncode == 1
    assert "setup of" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_ratio_of_medians_without_the_driver() -> None:
    found = Agreement(ours_s=[1.0, 9.0, 1.02], theirs_s=[1.1, 1.1, 9.0], nothing_s=[0.1, 0.1, 0.1])
    assert found.ratio == pytest.approx(1.02)
    assert found.within(0.03)
    assert not found.within(0.01)
    assert str(found) == (
        "pilotlight 1.020 s, hyperfine 1.000 s (without 0.100 s of its driver), ratio 1.0200, medians of 3 each"
    )


def drive(project: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = Project.load(PROJECTS / project)
    ensure_schema(found, python=Path(sys.executable))
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PORT": str(port)}
    return subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "scripts/checks/cold_driver.py"), *arguments],
        cwd=found.root,
        env={**os.environ, **found.server_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("project", "arguments", "message"),
    [
        ("cold_hangs", ["--limit", "1"], "the server was not ready after 1 s"),
        ("run_text", ["--input", '{"prompt": "a", "mode": "raise"}'], "the prediction did not succeed: .*boom"),
    ],
)
def test_a_start_that_fails_is_not_timed(project: str, arguments: list[str], message: str) -> None:
    done = drive(project, *arguments)
    assert done.returncode == 1
    assert re.fullmatch(message, done.stderr.strip())


def test_without_a_server_the_driver_does_nothing() -> None:
    assert drive("cold_hangs", "--nothing").returncode == 0

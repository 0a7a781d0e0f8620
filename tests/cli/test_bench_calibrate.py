"""``pilotlight bench calibrate`` as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

COMMAND = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "calibrate"]
DEADLINE_S = 90
UNLUCKY_SEED = 8  # its 100 runs put a good figure out of its target by chance


def calibrate(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_table_on_stdout_and_a_bar_on_the_terminal() -> None:
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "--runs", "100"],
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        os.close(slave)
        drawn = os.read(master, 1 << 16).decode(errors="replace")  # what is there of the bar, cut anywhere
    finally:
        os.close(master)
    assert done.returncode == 0
    assert "calibrating" in drawn
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["figure", "measured", "target", "trials"]
    assert rows[0].startswith("A/A false positives, lognormal ")
    assert rows[0].split()[-4:] == ["most", "6.0%", "1200", "ok"]
    assert rows[-1].startswith("Of comparisons of equals at most ")
    assert "93.0% to 97.0%" in done.stdout


def test_json_and_status_1_when_a_figure_is_outside_its_target() -> None:
    done = calibrate("--runs", "100", "--seed", str(UNLUCKY_SEED), "--json", status=1)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert (document["ok"], document["runs"], document["seed"]) == (False, 100, UNLUCKY_SEED)
    assert {"name", "value", "unit", "low", "high", "trials", "ok"} == set(document["figures"][0])
    outside = [figure for figure in document["figures"] if not figure["low"] <= figure["value"] <= figure["high"]]
    assert outside == [figure for figure in document["figures"] if not figure["ok"]] != []


def test_a_number_of_runs_that_cannot_work() -> None:
    assert "100<=x<=20000" in calibrate("--runs", "5", status=2).stderr

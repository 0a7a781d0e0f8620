"""``pilotlight bench calibrate`` as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import threading

COMMAND = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "calibrate"]
DEADLINE_S = 500
UNLUCKY_SEED = 8  # its 100 runs put a good figure out of its target by chance


def calibrate(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def draw(drawn: list[bytes], terminal: int) -> None:
    """Takes what is drawn, as a terminal does, until nobody has it open."""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 1 << 16):
            drawn.append(data)


def test_table_on_stdout_and_a_bar_on_the_terminal() -> None:
    master, slave = pty.openpty()
    drawn: list[bytes] = []
    screen = threading.Thread(target=draw, args=(drawn, master))
    screen.start()
    try:
        done = subprocess.run(
            [*COMMAND, "--runs", "100", "--starts", "6"],
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    finally:
        os.close(slave)
        screen.join()
        os.close(master)
    screenful = b"".join(drawn)
    assert b"calibrating" in screenful
    assert b"starting workers" in screenful
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["figure", "measured", "target", "trials"]
    assert rows[0].startswith("A/A false positives, lognormal ")
    assert rows[0].split()[-4:] == ["most", "6.0%", "1200", "ok"]
    assert "93.0% to 97.0%" in done.stdout
    shown = {row.partition("  ")[0]: row.partition("  ")[2].strip() for row in rows}
    share = r"-?\d+\.\d%"
    assert re.match(rf"{share} \({share} to {share}\) +at most 2\.0% +6 ", shown["cold start, added by observing it"])
    assert re.match(r"\d+\.\d+ ms \(.* ms\) +at most 5\.00 ms +100 ", shown["prediction that does nothing"])
    outside = [row for row in rows if row.endswith(" outside")]
    assert done.returncode == bool(outside)
    assert rows[-1].startswith("Do not trust" if outside else "At most ")


def test_json_and_status_1_when_a_figure_is_outside_its_target() -> None:
    done = calibrate("--runs", "100", "--starts", "0", "--seed", str(UNLUCKY_SEED), "--json", status=1)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert (document["ok"], document["runs"], document["seed"]) == (False, 100, UNLUCKY_SEED)
    assert {"name", "value", "unit", "low", "high", "trials", "interval", "ok"} == set(document["figures"][0])
    assert len(document["figures"]) == 12
    outside = [figure for figure in document["figures"] if not figure["low"] <= figure["value"] <= figure["high"]]
    assert outside == [figure for figure in document["figures"] if not figure["ok"]] != []


def test_a_number_of_runs_that_cannot_work() -> None:
    assert "100<=x<=20000" in calibrate("--runs", "5", status=2).stderr
    assert "3 starts; give at least 6" in calibrate("--runs", "100", "--starts", "3", status=2).stderr

"""scripts/measure/bench_gateway.py, for a moment only."""

import subprocess
import sys

from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "measure" / "bench_gateway.py"


def test_it_compares_the_gateway_with_its_worker(tmp_path):
    result = subprocess.run(
        [sys.executable, SCRIPT, "--clients", "2", "--rounds", "1", "--seconds", "0.2", "--no-fsync"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "CPU" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["2", "direct"], ["2", "plain"], ["2", "replicate"]]
    assert rows[0][-1] == "100%"
    assert all(float(row[-2]) > 0 for row in rows)


def test_it_shows_what_the_gateway_holds_while_predictions_go_through_it(tmp_path):
    result = subprocess.run(
        [sys.executable, SCRIPT, "--memory", "33", "--no-fsync"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [int(row[0]) for row in rows] == [0, 3, 6, 9, 13, 16, 19, 23, 26, 29, 33]
    assert all(float(row[1]) > 10 for row in rows)

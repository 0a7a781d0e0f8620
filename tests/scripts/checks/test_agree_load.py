"""scripts/checks/agree_load.py, with something else in the place of wrk."""

import os
import re
import subprocess
import sys

from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "checks" / "agree_load.py"


def agree(path, *args):
    environ = {**os.environ, "PATH": str(path)}
    return subprocess.run(
        [sys.executable, SCRIPT, "--clients", "2", "--rounds", "1", "--seconds", "1", *args],
        env=environ,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_without_wrk_it_says_where_to_get_it(tmp_path):
    done = agree(tmp_path)
    assert done.returncode == 2
    assert "apt-get install wrk" in done.stderr


def test_figures_that_differ_are_told_and_fail(tmp_path):
    wrk = tmp_path / "wrk"
    wrk.write_text("#!/bin/sh\necho counted 5000110 110 1000000\n")
    wrk.chmod(0o755)
    paths = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = agree(paths)
    assert done.returncode == 1, done.stderr
    assert re.search(r"medians of 1: wrk 5000000/s, pilotlight [1-9]\d*/s, ratio 0\.\d{3}", done.stdout)
    assert "they differ by more than 5%" in done.stdout
    done = agree(paths, "--within", "1")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "they agree")

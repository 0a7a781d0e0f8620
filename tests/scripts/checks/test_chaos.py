"""scripts/checks/chaos.py, a small storm only."""

import json
import subprocess
import sys

from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "checks" / "chaos.py"


def test_a_small_storm_breaks_no_promise(tmp_path):
    options = ["--predictions", "24", "--clients", "6", "--gateway-kills", "1", "--kill-every", "8", "--seed", "3"]
    result = subprocess.run(
        [sys.executable, SCRIPT, *options, "--json", tmp_path / "chaos.json", "--log", tmp_path / "gateway.log"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    log = tmp_path / "gateway.log"
    assert result.returncode == 0, result.stdout + (log.read_text()[-5000:] if log.exists() else "")
    said = json.loads((tmp_path / "chaos.json").read_text())
    assert said["violations"] == []
    assert said["events"]["gateway killed"] == 1
    ended = sum(count for what, count in said["events"].items() if what.startswith("ended as"))
    assert 0 < ended <= 24

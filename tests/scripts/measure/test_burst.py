"""scripts/measure/burst.py, a small burst only."""

import json
import subprocess
import sys

from tests.paths import PROJECTS, SCRIPTS

PNG = b"\x89PNG\r\n"


def run(*arguments):
    result = subprocess.run(
        [sys.executable, SCRIPTS / "measure" / "burst.py", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_burst_is_measured_and_drawn_and_drawn_again(tmp_path):
    project = PROJECTS / "load_sleeps"
    first, second = tmp_path / "first", tmp_path / "second"
    said = run("--requests", "20", "--burst", project, '{"seconds": 0.1}', "2", "--out", first)
    assert said.startswith("load_sleeps: answers after ")
    (burst,) = json.loads((first / "burst.json").read_text())["bursts"]
    assert (burst["max_workers"], burst["slots"], len(burst["requests"])) == (2, 8, 20)
    for one in burst["requests"]:
        whole_s = one["queue_s"] + one["cold_start_s"] + one["predict_s"]
        assert abs(one["ended_s"] - one["accepted_s"] - whole_s) < 1e-3
        assert one["cold_start_s"] > 0
        assert one["answered_s"] > 0
    assert max(one["waiting"] for one in burst["samples"]) == 20
    run("--draw", first / "burst.json", "--out", second)
    for name in ("burst-light.png", "burst-dark.png"):
        picture = (first / name).read_bytes()
        assert picture.startswith(PNG)
        assert (second / name).read_bytes() == picture

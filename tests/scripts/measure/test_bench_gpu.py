"""scripts/measure/bench_gpu.py with a tiny model, on whatever there is: without a GPU it runs through, and says so."""

import subprocess
import sys

import pytest

from pilotlight.bench.harness.documents import read_document
from scripts.measure.bench_gpu import GpuResult
from tests.models import tiny_model
from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "measure" / "bench_gpu.py"


@pytest.mark.timeout(600)
def test_it_runs_through_with_a_tiny_model(tmp_path):
    tiny_model("llama", tmp_path).rename(tmp_path / "llama-tiny")
    out = tmp_path / "gpu.json"
    small = [
        "--shape",
        "tiny",
        "--models",
        tmp_path,
        "--streams",
        "2",
        "--tokens",
        "4",
        "--rounds",
        "1",
        "--no-servers",
    ]
    done = subprocess.run([sys.executable, SCRIPT, *small, "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    result = read_document(GpuResult, out)
    assert result.finished
    assert {one.unit for one in result.figures} == {"GB/s", "tokens/s"}
    assert all(len(one.values) == 1 and one.values[0] > 0 for one in result.figures)
    assert ("no CUDA device" in done.stderr) == (result.settings.device == "cpu")
    assert len(done.stdout.splitlines()) == 2 + len(result.figures)

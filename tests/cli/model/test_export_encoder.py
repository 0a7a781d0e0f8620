"""``pilotlight export`` of a classifier, as a process of its own with the real exporter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pilotlight.loading.files.artifacts import find_artifacts
from tests.encoders import tiny_classifier
from tests.engines.exported import ENVIRON

COMMAND = [sys.executable, "-c", "from pilotlight.cli import main; main()"]


def run(*args: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *args], env=ENVIRON, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_classifier_gets_an_artifact_with_its_figures(tmp_path: Path) -> None:
    model = tiny_classifier(tmp_path / "weights")
    done = run("export", model, "--precision", "fp32")
    first, second, third = done.stdout.splitlines()
    assert first.startswith(f"{model}/openvino-fp32-cpu: ")
    assert second == "same label as the model itself for 100.0% of 55 texts of pilotlight's samples of prose and chats"
    assert third.startswith("largest difference of a score: 0.00")
    (artifact,) = find_artifacts(model)
    assert sorted(path.name for path in artifact.folder.iterdir()) == ["openvino_model.bin", "openvino_model.xml"]
    (entry,) = json.loads((model / "manifest.json").read_text())["artifacts"]
    assert entry["check"]["task"] == "classify"
    assert entry["check"]["agreement"] == 1
    assert "every byte as the manifest says" in run("weights", "verify", model).stdout


def test_a_text_that_checks_nothing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    model = tiny_classifier(tmp_path / "model")
    (tmp_path / "short.txt").write_text("x")
    message = "the check's text is too short"
    assert message in run("export", model, "--text", tmp_path / "short.txt", status=2).stderr
    assert not (model / "manifest.json").exists()

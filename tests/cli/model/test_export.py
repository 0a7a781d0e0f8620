"""``pilotlight export`` as a process of its own, with the real exporter, on tiny models."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.loading.files.artifacts import find_artifacts
from tests.engines.exported import ENVIRON
from tests.models import tiny_model

COMMAND = [sys.executable, "-c", "from pilotlight.cli import main; main()"]
DEADLINE_S = 500


def run(*args: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``pilotlight``; it must end with ``status`` and without a traceback."""
    done = subprocess.run(
        [*COMMAND, *args], env=ENVIRON, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_gets_an_artifact_that_verifies_and_is_as_good(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "weights")
    done = run("export", model, "--engine", "openvino", "--precision", "int8", "--exporter")
    first, *kinds, last = done.stdout.splitlines()
    assert first.startswith(f"{model}/openvino-int8-cpu: ")
    for line, kind in zip(kinds, ("prose", "chats", "code"), strict=True):
        assert f"bits per byte on pilotlight's sample of {kind}, the model itself " in line
    assert sum(line.endswith("(at most 3.00%)") for line in kinds) == 1
    assert last.startswith("greedy output the same for ")
    # Whether the environment had to be made depends on the runs before.
    assert done.stderr.splitlines()[-3:] == [
        "importing the exporter",
        "converting llama-0 to int8",
        "checking it against the source",
    ]
    (artifact,) = find_artifacts(model)
    assert names(artifact.folder) == ["first_stage.blob", "openvino_model.bin", "openvino_model.xml"]
    assert (artifact.folder / "openvino_model.bin").stat().st_size < 0.4 * (model / "model.safetensors").stat().st_size
    assert str(tmp_path) not in (artifact.folder / "openvino_model.xml").read_text()
    (entry,) = json.loads((model / "manifest.json").read_text())["artifacts"]
    check = entry["check"]
    assert abs(check["artifact_bits_per_byte"] / check["source_bits_per_byte"] - 1) < 0.03
    assert check["tokens"] > 1000
    assert [one["kind"] for one in check["kinds"]] == ["prose", "chat", "code"]
    assert 0 < check["greedy_agreement"] <= 1
    assert set(entry["made_with"]) == {"optimum-intel", "nncf", "openvino", "torch", "transformers"}
    assert "every byte as the manifest says" in run("weights", "verify", model).stdout
    assert "torch, openvino" in run("weights", "list", "--weights-dir", model.parent).stdout


def test_a_llama_is_built_without_the_exporter(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "weights")
    (tmp_path / "own.txt").write_text("The ferry left the island when the light was still grey. " * 40)
    done = run("export", model, "--text", tmp_path / "own.txt")
    assert done.stderr.splitlines() == ["building llama-0 in int8", "checking it against the source"]
    assert "bits per byte on own.txt, the model itself " in done.stdout
    assert "(at most 3.00%)" in done.stdout
    (artifact,) = find_artifacts(model)
    assert names(artifact.folder) == ["first_stage.blob", "openvino_model.bin", "openvino_model.xml"]
    assert (artifact.folder / "openvino_model.bin").stat().st_size < 0.4 * (model / "model.safetensors").stat().st_size
    (entry,) = json.loads((model / "manifest.json").read_text())["artifacts"]
    assert abs(entry["check"]["artifact_bits_per_byte"] / entry["check"]["source_bits_per_byte"] - 1) < 0.03
    assert (entry["check"]["judged_by"], entry["check"]["kinds"]) == (None, None)
    assert set(entry["made_with"]) == {"openvino"}


def test_a_model_that_the_builder_does_not_know_goes_to_the_exporter(tmp_path: Path) -> None:
    model = tiny_model("gpt2", tmp_path / "weights")
    done = run("export", model)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("using the exporter: no builder for model_type 'gpt2': there is llama, ")
    assert "converting gpt2-0 to int8" in lines
    (entry,) = json.loads((model / "manifest.json").read_text())["artifacts"]
    assert "optimum-intel" in entry["made_with"]


def test_the_onnx_engine_gets_its_own(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "weights")
    done = run("export", model, "--engine", "onnx", "--precision", "int8")
    assert done.stdout.startswith(f"{model}/onnx-int8-cpu: ")
    (artifact,) = find_artifacts(model)
    assert names(artifact.folder) == ["genai_config.json", "model.onnx", "model.onnx.data"]
    assert not [path for path in artifact.folder.iterdir() if str(tmp_path).encode() in path.read_bytes()]
    (entry,) = json.loads((model / "manifest.json").read_text())["artifacts"]
    assert abs(entry["check"]["artifact_bits_per_byte"] / entry["check"]["source_bits_per_byte"] - 1) < 0.03
    assert set(entry["made_with"]) == {"onnxruntime-genai", "onnxruntime", "onnx", "torch", "transformers"}
    assert "every byte as the manifest says" in run("weights", "verify", model).stdout


def test_an_architecture_that_the_exporter_does_not_take_is_one_message(tmp_path: Path) -> None:
    model = tiny_model("gemma3", tmp_path)
    before = names(model)
    done = run("export", model, status=1)
    assert "Error: the exporter does not take gemma3-0: " in done.stderr
    assert names(model) == before


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    before = names(model)
    with subprocess.Popen(
        [*COMMAND, "export", model, "--exporter"], env=ENVIRON, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("converting"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.strip() == "Interrupted."
    assert names(model) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "'nowhere' is neither a folder nor one of"),
        ([".", "--precision", "int3"], "Invalid value for '--precision'"),
        ([".", "--precision", "fp16", "--engine", "onnx"], "exports fp16 for onnx on cpu; there is int8, int4, fp32"),
        ([".", "--max-loss", "little"], "'little' is not a share: give it as 3% or 0.03"),
        ([".", "--text", "nowhere.txt"], "does not exist"),
    ],
)
def test_a_mistake_is_one_message(args: list[str], message: str) -> None:
    assert message in run("export", *args, status=2).stderr


def test_a_text_that_checks_nothing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "model")
    (tmp_path / "short.txt").write_text("x")
    assert "is too short for the check" in run("export", model, "--text", tmp_path / "short.txt", status=2).stderr
    assert "manifest.json" not in names(model)

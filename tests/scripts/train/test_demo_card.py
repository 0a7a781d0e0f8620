"""scripts/train/demo_card.py: the card is a function of training.json."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.loading.files.manifest import Manifest, read_manifest
from scripts.train.demo_card import card, main, sample, update
from tests.models import tiny_model
from tests.paths import ROOT

SCRIPT = ROOT / "scripts/train/demo_card.py"
MODEL = ROOT / "weights/pylight-5m"

TRAINED: dict[str, Any] = {
    "format": 1,
    "python": "3.11.7",
    "torch": "2.13.0",
    "command": "python scripts/train/train_demo.py --steps 40 --seed 7",
    "parameters": 1_234_567,
    "tokens_seen": 40 * 8192,
    "wall_s": 600.0,
    "train": {"files": 1500, "size_bytes": 20_500_000},
    "held_out": {"files": 70, "size_bytes": 1_250_000, "bits_per_byte": 1.2345, "xz_9_bits_per_byte": 1.4321},
    "curve": [
        {"step": step, "loss": 3 + 5 * math.exp(-step / 8)}
        | ({"held_out_sample_bits_per_byte": 1.2 + 2 / step} if step % 10 == 0 else {})
        for step in range(1, 41)
    ],
}
MEASURED: dict[str, Any] = {
    "shape": {"hidden_size": 256, "max_position_embeddings": 1024, "tie_word_embeddings": True},
    "sampling": {"max_new_tokens": 200, "temperature": 0.7, "top_p": 0.95, "repetition_penalty": 1.1},
    "greedy": {"repetition_penalty": 1.25},
    "samples": [
        {
            "prompt": "def f(x):",
            "greedy": "\n    return x",
            "sampled": '\n    """```\x00"""',
            "seed": 3,
            "ended": {"greedy": True, "sampled": False},
        }
    ],
    "end_of_text": {
        "prompts": 20,
        "limit_tokens": 300,
        "ended": 17,
        "ended_sampled": 19,
        "definitions": 90,
        "probability_at_end": 0.5,
        "probability_within": 0.0001,
    },
}
BARE = Manifest(source="made up", created_at=datetime(2026, 1, 1, tzinfo=UTC), files=())


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_card_has_the_figures_the_samples_and_valid_front_matter() -> None:
    text = card(TRAINED | MEASURED, BARE, "a-model", "loss.png")
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "other",
        "license_name": "psf-2.0",
        "license_link": "https://docs.python.org/3/license.html",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["python", "code", "llama"],
    }
    assert body.startswith("# a-model\n")
    for part in ("**1.234**", "1.432", "17 of 20", "1,234,567", "(loss.png)", TRAINED["command"], "20.5 MB"):
        assert part in body
    assert "Greedy:\n\n```python\ndef f(x):\n    return x\n```\n" in body
    assert 'Sampled, seed 3, cut after 200 tokens:\n\n````python\ndef f(x):\n    """```\ufffd"""\n````\n' in body


def test_same_report_gives_the_same_files(tmp_path: Path) -> None:
    written = []
    for name in ("a/model", "b/model"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "training.json").write_text(json.dumps(TRAINED | MEASURED))
        result = run(folder)
        assert result.returncode == 0, result.stderr
        written.append([(folder / "README.md").read_text(), (folder / "loss.png").read_bytes()])
    assert written[0] == written[1]
    assert written[0][1].startswith(b"\x89PNG")


def test_sampling_adds_to_the_report_what_the_card_needs(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    (folder / "training.json").write_text(json.dumps(TRAINED))
    update(folder / "training.json", lambda: sample(folder, sample_tokens=8, end_limit_tokens=8))
    report = json.loads((folder / "training.json").read_text())
    assert {key: report[key] for key in TRAINED} == TRAINED
    assert report["shape"]["hidden_size"] == 64
    assert 0 <= report["end_of_text"]["ended"] <= report["end_of_text"]["prompts"] == 20
    assert all(sample["greedy"] != sample["sampled"] for sample in report["samples"])
    assert "def main(args):" in card(report, BARE, "tiny", "loss.png")


@pytest.mark.parametrize(
    ("report", "message"),
    [(None, "train the model first"), (TRAINED, "lacks 'end_of_text': run python scripts/train/demo_card.py --sample")],
)
def test_mistake_is_one_message(
    report: dict[str, Any] | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if report is not None:
        (tmp_path / "training.json").write_text(json.dumps(report))
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


def test_card_in_the_repository_is_that_of_its_report() -> None:
    report = json.loads((MODEL / "training.json").read_text())
    manifest = read_manifest(MODEL)
    assert (MODEL / "README.md").read_text() == card(report, manifest, MODEL.name, "loss.png")
    assert report["held_out"]["bits_per_byte"] < report["held_out"]["xz_9_bits_per_byte"]


def test_a_card_is_rendered_without_torch() -> None:
    code = "import sys; sys.path.insert(0, '.'); import scripts.train.demo_card; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_card_has_the_figures_of_what_was_exported() -> None:
    manifest = read_manifest(MODEL)
    (artifact,) = manifest.artifacts
    assert artifact.name == "openvino-bf16-cpu"
    assert 0 <= artifact.check.loss < 0.01
    text = card(TRAINED | MEASURED, manifest, "a-model", "loss.png")
    assert "| `openvino-bf16-cpu` |  |" in text
    assert f"| lost | {artifact.check.loss:.2%} |" in text
    assert "## For a faster start" not in card(TRAINED | MEASURED, BARE, "a-model", "loss.png")

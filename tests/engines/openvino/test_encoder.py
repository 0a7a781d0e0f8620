"""The OpenVINO encoder against the torch encoder, on artifacts that the real exporter made."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.engines.encoders.batch_planner import BatchLimits
from pilotlight.engines.encoders.types import Encoded, EncoderEngine, Padding, Task, TextRequest
from pilotlight.engines.openvino.encoder import OpenVINOEncoder
from pilotlight.engines.quality_encoder import check_encoder, pieces
from pilotlight.engines.select import EngineOptions
from pilotlight.engines.select_encoder import open_encoder
from pilotlight.engines.torch.encoder import TorchEncoder
from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.files.manifest import write_manifest
from tests.encoders import ARCHITECTURES
from tests.engines.encoder_sweep import CASES
from tests.engines.exported_encoders import exported_case, exported_classifier, exported_embedder
from tests.loading.artifact_entries import list_artifact

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

TEXTS = ["def main(args):", "one two three", "x", "one two three " * 40, "\x00 ünïcode 🙂"]
OPTIONS = {"queue_size": 64, "limits": BatchLimits()}


def encode(engine: EncoderEngine) -> list[Encoded]:
    try:
        together = [future.result(120) for future in engine.submit([TextRequest(text) for text in TEXTS])]
        alone = [engine.submit([TextRequest(text)])[0].result(120) for text in TEXTS]
        assert [one.values for one in alone] == [pytest.approx(one.values, abs=1e-4) for one in together]
        return together
    finally:
        engine.close()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_scores_are_those_of_torch(arch: str, tmp_path: Path) -> None:
    model, artifact = exported_classifier(arch, tmp_path)
    ours = encode(OpenVINOEncoder(model, artifact, Task.CLASSIFY))
    theirs = encode(TorchEncoder(model, Task.CLASSIFY, device="cpu", dtype="float32"))
    assert ours == [replace(one, values=pytest.approx(one.values, abs=1e-4)) for one in theirs]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_vectors_are_those_of_torch(arch: str, pooling: str, tmp_path: Path) -> None:
    model, artifact = exported_embedder(arch, tmp_path)
    ours = encode(OpenVINOEncoder(model, artifact, Task.EMBED, pooling=pooling))
    theirs = encode(TorchEncoder(model, Task.EMBED, device="cpu", dtype="float32", pooling=pooling))
    assert ours == [replace(one, values=pytest.approx(one.values, abs=1e-4)) for one in theirs]


def test_a_model_that_reads_its_padding_is_right_in_any_company() -> None:
    model, artifact = exported_case(next(case for case in CASES if case.name == "mobilebert"))
    engine = OpenVINOEncoder(model, artifact, Task.CLASSIFY)
    assert engine.info.padding is Padding.NONE
    ours = encode(engine)
    theirs = encode(TorchEncoder(model, Task.CLASSIFY, device="cpu", dtype="float32"))
    assert ours == [replace(one, values=pytest.approx(one.values, abs=1e-4)) for one in theirs]


def test_an_artifact_of_another_kind_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    model, artifact = exported_classifier("distilbert", tmp_path)
    with pytest.raises(WeightsError, match="has the outputs logits; to embed needs last_hidden_state"):
        OpenVINOEncoder(model, artifact, Task.EMBED)
    (artifact.folder / "openvino_model.xml").write_text("<net")
    with pytest.raises(WeightsError, match="OpenVINO cannot load it"):
        OpenVINOEncoder(model, artifact, Task.CLASSIFY)


def test_the_artifact_is_chosen_for_what_the_model_was_made_for(tmp_path: Path) -> None:
    model, artifact = exported_classifier("distilbert", tmp_path)
    write_manifest(model, source="a test")
    list_artifact(model, artifact)
    for task, expected in [(Task.CLASSIFY, "openvino"), (Task.EMBED, "torch")]:
        engine = open_encoder(model, task, EngineOptions(device="cpu"), **OPTIONS)
        engine.close()
        assert engine.info.engine == expected


def test_it_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    model, artifact = exported_classifier("distilbert", tmp_path)
    code = f"""
import sys
from pathlib import Path
from pilotlight.engines.encoders.types import Task, TextRequest
from pilotlight.engines.openvino.encoder import OpenVINOEncoder
from pilotlight.loading.files.artifacts import Artifact
artifact = Artifact(Path({str(artifact.folder)!r}), "openvino", "fp32", "cpu")
engine = OpenVINOEncoder(Path({str(model)!r}), artifact, Task.CLASSIFY)
engine.submit([TextRequest("x")])[0].result()
engine.close()
print(sorted({{"torch", "transformers", "pydantic"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


CONTENT = "".join(f"def function_{i}(x):\n    return x * {i}\n" for i in range(400))


def test_the_check_of_an_exact_artifact_finds_nothing(tmp_path: Path) -> None:
    for model, artifact in (exported_classifier("distilbert", tmp_path), exported_embedder("bert", tmp_path)):
        checked = check_encoder(model, artifact, "functions", CONTENT)
        assert checked.texts == len(pieces(CONTENT)) >= 20
        assert checked.agreement == 1
        assert checked.largest_difference < 1e-4
        assert checked.loss < 1e-4
        assert checked.text == "functions"


def test_a_text_that_is_too_short_checks_nothing() -> None:
    with pytest.raises(UsageError, match="it is 3 pieces of 200 characters, and 20 are needed"):
        pieces("x" * 401)

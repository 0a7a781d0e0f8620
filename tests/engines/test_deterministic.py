"""``PILOTLIGHT_DETERMINISTIC=1``: a greedy text is the same whichever requests run beside it, on every engine."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pilotlight.config import EngineOptions
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.openvino.runtime import runtime
from pilotlight.engines.select import open_artifact
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.errors import ConfigError
from tests.built import built
from tests.engines.exported_onnx import onnx_model
from tests.logs import own_messages
from tests.models import tiny_model
from tests.paths import ROOT

# The first run makes the exporter's environment and the onnx artifact; see exported_onnx.py.
pytestmark = pytest.mark.timeout(600)

DEMO = ROOT / "weights/pylight-5m"
CHATS = 20
MAX_TOKENS = 12
Opener = Callable[[Path], BackendEngine]


def openvino_engine(folder: Path) -> BackendEngine:
    model = folder / "demo"
    shutil.copytree(DEMO, model, ignore=shutil.ignore_patterns("openvino-*", "manifest.json"))
    return open_artifact(model, built(model, "int8"), slots=CHATS, queue_size=CHATS, staged="1", deterministic=True)


def onnx_engine(folder: Path) -> BackendEngine:
    model, artifact = onnx_model("llama", folder)
    return open_artifact(model, artifact, slots=CHATS, queue_size=CHATS, deterministic=True)


def torch_engine(folder: Path) -> BackendEngine:
    model = tiny_model("llama", folder)
    return TorchEngine(model, device="cpu", slots=CHATS, queue_size=CHATS, deterministic=True)


def requests() -> list[GenerationRequest]:
    """Prompts of several lengths, so that some are read while others are continued."""
    return [
        GenerationRequest(
            f"def add_{number}(self, value):\n" * (1 + number % 4), Sampling(temperature=0, max_tokens=MAX_TOKENS)
        )
        for number in range(CHATS)
    ]


@pytest.mark.parametrize("open_engine", [openvino_engine, onnx_engine, torch_engine])
def test_twenty_requests_alone_and_together_are_the_same(
    open_engine: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pilotlight"):
        engine = open_engine(tmp_path)
    try:
        assert any(line.startswith("deterministic: ") for line in own_messages(caplog))
        running = [engine.submit(request) for request in requests()]
        together = [(generation.text(), generation.output_ids) for generation in running]
        alone = []
        for request in requests():
            generation = engine.submit(request)
            alone.append((generation.text(), generation.output_ids))
    finally:
        engine.close()
    assert together == alone
    assert len({text for text, _ in alone}) > CHATS // 2, "a model that says the same to everything shows nothing"


def test_openvino_computes_in_float32_without_quantized_activations() -> None:
    expected = {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    assert runtime(deterministic=True).settings("int8") == runtime(deterministic=True).settings("fp32") == expected


def test_onnx_computes_each_row_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    run = OnnxModel.run

    def counted(self: OnnxModel, first: int, ids: Sequence[Sequence[int]], lengths: Sequence[int]) -> Any:
        rows.append(len(ids))
        return run(self, first, ids, lengths)

    monkeypatch.setattr(OnnxModel, "run", counted)
    engine = onnx_engine(tmp_path)
    for generation in [engine.submit(request) for request in requests()[:3]]:
        generation.text()
    engine.close()
    assert set(rows) == {1}


def test_torch_computes_in_float32_and_refuses_another_precision() -> None:
    with pytest.raises(ConfigError, match="computes in float32, but PILOTLIGHT_DTYPE is bfloat16: leave one"):
        TorchEngine(DEMO, device="cpu", dtype="bfloat16", deterministic=True)
    engine = TorchEngine(DEMO, device="cpu", slots=1, deterministic=True)
    engine.close()
    assert engine.info.dtype == "float32"


def test_it_is_off_by_default() -> None:
    assert not EngineOptions.from_env({}).deterministic
    assert EngineOptions.from_env({"PILOTLIGHT_DETERMINISTIC": "1"}).deterministic

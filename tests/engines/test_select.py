"""Which engine serves: by what is there, what is installed and what was asked for; never in silence."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotlight.engines.select import EngineOptions, choose, find_accelerator, open_engine
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.errors import ConfigError
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.files.manifest import write_manifest
from tests.engines.exported import exported_model
from tests.engines.exported_onnx import onnx_model
from tests.loading.artifact_entries import list_artifact
from tests.logs import own_messages

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

INT8 = Artifact(Path("m/openvino-int8-cpu"), "openvino", "int8", "cpu")
FP32 = Artifact(Path("m/openvino-fp32-cpu"), "openvino", "fp32", "cpu")
ONNX = Artifact(Path("m/onnx-int4-cpu"), "onnx", "int4", "cpu")
FOREIGN = Artifact(Path("m/onnx-int4-cuda"), "onnx", "int4", "cuda")
Maker = Callable[[str, Path], tuple[Path, Artifact]]
MAKERS = [(exported_model, "openvino"), (onnx_model, "onnx")]
ALL = ("openvino", "onnx", "torch")
NEITHER = "the model has no openvino artifact for a CPU, the model has no onnx artifact for a CPU"


def decide(
    artifacts: tuple[Artifact, ...] = (INT8, FP32),
    *,
    accelerator: str | None = None,
    installed: tuple[str, ...] = ALL,
    **options: str,
) -> tuple[str, Artifact | None, str]:
    choice = choose(EngineOptions(**options), artifacts, accelerator=accelerator, installed=installed, model="m")
    return choice.engine, choice.artifact, choice.why


def test_the_first_artifact_for_a_cpu_is_taken() -> None:
    assert decide() == ("openvino", INT8, "openvino-int8-cpu is here, the fastest for this CPU")
    assert decide((FOREIGN, FP32))[:2] == ("openvino", FP32)
    assert decide((ONNX, FP32))[:2] == ("openvino", FP32)
    assert decide((FOREIGN, ONNX)) == ("onnx", ONNX, "onnx-int4-cpu is here, the fastest for this CPU")
    assert decide((ONNX, INT8), installed=("onnx",))[:2] == ("onnx", ONNX)
    assert decide((ONNX, INT8), dtype="int4")[:2] == ("onnx", ONNX)
    assert decide(device="cpu", accelerator="cuda")[:2] == ("openvino", INT8)


@pytest.mark.parametrize(
    ("dtype", "artifact"), [("int8", INT8), ("fp32", FP32), ("float32", FP32), ("bfloat16", None), ("float16", None)]
)
def test_a_precision_that_was_asked_for_is_kept(dtype: str, artifact: Artifact | None) -> None:
    assert decide(dtype=dtype)[:2] == ("openvino" if artifact else "torch", artifact)


def test_torch_where_nothing_else_fits_and_it_says_why() -> None:
    assert decide(()) == ("torch", None, NEITHER)
    assert decide((FOREIGN,))[:2] == ("torch", None)
    assert decide(accelerator="cuda") == ("torch", None, "this machine has cuda")
    assert decide(device="cuda:1") == ("torch", None, "the device asked for is cuda:1")
    missing = "openvino and openvino_genai are not installed, onnxruntime is not installed"
    assert decide((INT8, ONNX), installed=("torch",)) == ("torch", None, missing)
    assert decide(engine="torch") == ("torch", None, "as asked")


def test_what_was_asked_for_runs_on_the_cpu_of_a_machine_with_a_gpu() -> None:
    assert decide(engine="openvino", accelerator="cuda") == ("openvino", INT8, "as asked")
    assert decide((INT8, ONNX), engine="onnx", accelerator="cuda") == ("onnx", ONNX, "as asked")


def test_what_was_asked_for_and_cannot_be_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="PILOTLIGHT_ENGINE is 'vllm'; expected one of auto, openvino, onnx, torch"):
        decide(engine="vllm")
    with pytest.raises(ConfigError, match=r"no openvino artifact for a CPU: make .* `pilotlight export m --engine"):
        decide((), engine="openvino")
    with pytest.raises(ConfigError, match="but openvino and openvino_genai are not installed"):
        decide(engine="openvino", installed=("torch",))
    with pytest.raises(ConfigError, match=r"but onnxruntime is not installed: .* --engine onnx`, install pilotlight"):
        decide((ONNX,), engine="onnx", installed=("torch",))
    with pytest.raises(ConfigError, match="but the device asked for is cuda"):
        decide(engine="openvino", device="cuda")
    with pytest.raises(ConfigError, match="PILOTLIGHT_DTYPE is int4, which only an artifact has, but none of its"):
        decide(dtype="int4")


def test_options_come_from_the_environment() -> None:
    cache = Path("~/.cache/pilotlight").expanduser()
    assert EngineOptions.from_env({}) == EngineOptions.from_env({"PILOTLIGHT_ENGINE": ""}) == EngineOptions(cache=cache)
    environ = {"PILOTLIGHT_ENGINE": "torch", "PILOTLIGHT_DEVICE": "cpu", "PILOTLIGHT_DTYPE": "float32"}
    assert EngineOptions.from_env(environ) == EngineOptions("torch", "cpu", "float32", cache=cache)
    assert EngineOptions.from_env({"PILOTLIGHT_STAGED": "0"}) == EngineOptions(staged="0", cache=cache)
    assert EngineOptions.from_env({"PILOTLIGHT_CACHE": "/c"}) == EngineOptions(cache=Path("/c"))
    with pytest.raises(ConfigError, match="PILOTLIGHT_STAGED is 'no'; expected 1, 0"):
        EngineOptions.from_env({"PILOTLIGHT_STAGED": "no"})


def test_an_nvidia_gpu_is_seen_by_its_device_file(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert find_accelerator(tmp_path) == "cuda"


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_it_opens_what_it_chose_and_logs_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Maker, name: str
) -> None:
    model, artifact = make("llama", tmp_path)
    write_manifest(model, source="made up")
    request = GenerationRequest("one two", Sampling(temperature=0, max_tokens=20))
    texts = []
    for options in (EngineOptions(device="cpu", dtype="float32"), EngineOptions("auto", "cpu", "float32")):
        caplog.clear()
        with caplog.at_level(logging.INFO, "pilotlight"):
            engine = open_engine(model, options, slots=2, queue_size=2)
        texts.append((engine.info.engine, engine.submit(request).text(), own_messages(caplog)[0]))
        engine.close()
        list_artifact(model, artifact)
    (first, text, why), (second, same, reason) = texts
    assert (first, why) == ("torch", f"engine: torch ({NEITHER})")
    assert (second, reason) == (name, f"engine: {name} ({name}-fp32-cpu is here, the fastest for this CPU)")
    assert text == same


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_the_predictor_starts_without_torch_where_an_artifact_is_there(tmp_path: Path, make: Maker, name: str) -> None:
    model, artifact = make("llama", tmp_path)
    write_manifest(model, source="made up")
    list_artifact(model, artifact)
    code = """
import sys
from pathlib import Path
from pilotlight.adapters.text import TextPredictor
predictor = TextPredictor.from_environment(Path())
print(predictor.engine.info.engine, *{"torch", "transformers", "openvino_telemetry", "pydantic"} & sys.modules.keys())
predictor.close()
"""
    environ = {**os.environ, "PILOTLIGHT_MODEL": str(model), "PILOTLIGHT_DEVICE": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=500
    )
    assert done.stdout.split() == [name]


def test_choosing_an_engine_imports_none() -> None:
    code = """
import sys
import pilotlight.engines, pilotlight.engines.select, pilotlight.engines.select_encoder
print(*{"torch", "transformers", "openvino", "onnxruntime", "numpy", "tokenizers", "pydantic"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    assert done.stdout.split() == []

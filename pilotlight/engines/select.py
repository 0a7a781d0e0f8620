"""Chooses the engine that serves a language model, and opens it."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from pilotlight.config.predictor import EngineOptions
from pilotlight.config.variables import ENGINES
from pilotlight.engines.collector import paused_collector
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.protocol import Engine
from pilotlight.errors import ConfigError
from pilotlight.loading.files.artifacts import Artifact, find_artifacts
from pilotlight.loading.start.prefetch import Prefetch

__all__ = [
    "ENGINES",
    "Choice",
    "EngineOptions",
    "choose",
    "find_accelerator",
    "open_artifact",
    "open_engine",
]

log = logging.getLogger(__name__)

# The engines that load artifacts, all of them on a CPU; the preferred one first.
EXPORTED = ("openvino", "onnx")
PACKAGES = {
    "openvino": ("openvino", "openvino_genai"),
    "onnx": ("onnxruntime",),
    "torch": ("torch", "transformers"),
}
SOURCES = {"openvino": "requirements.txt", "onnx": "pilotlight[onnx]"}
# The precision of an artifact for each of torch's names; PILOTLIGHT_DTYPE takes either.
PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
QUANTIZED = ("int8", "int4")


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine, the artifact that it loads (``None``: the model's own weights), and the reason, for the log."""

    engine: str
    artifact: Artifact | None
    why: str


def choose(
    options: EngineOptions,
    artifacts: Sequence[Artifact],
    *,
    accelerator: str | None,
    installed: Sequence[str],
    model: str,
) -> Choice:
    """Choose the engine: the one that was asked for, else the fastest artifact for the device, else torch.

    Args:
        options: the settings.
        artifacts: of the model, the preferred ones first.
        accelerator: ``cuda`` or ``mps`` where the machine has one.
        installed: engines whose packages are installed.
        model: its name, for messages.

    Raises:
        ConfigError: the settings cannot be met; the message says what to change.
    """
    if options.engine not in ENGINES:
        raise ConfigError(f"PILOTLIGHT_ENGINE is {options.engine!r}; expected one of {', '.join(ENGINES)}")
    if options.engine == "torch":
        return Choice("torch", None, "as asked")
    found = {
        engine: _fitting(engine, options, artifacts, accelerator, installed)
        for engine in EXPORTED
        if options.engine in ("auto", engine)
    }
    for engine, (_, artifact) in found.items():
        if artifact is not None:
            why = (
                f"{artifact.folder.name} is here, the fastest for this CPU" if options.engine == "auto" else "as asked"
            )
            return Choice(engine, artifact, why)
    against = ", ".join(dict.fromkeys(reason for reason, _ in found.values()))
    if options.engine != "auto":
        raise ConfigError(
            f"PILOTLIGHT_ENGINE is {options.engine}, but {against}: make an artifact with `pilotlight export {model} "
            f"--engine {options.engine}`, install {SOURCES[options.engine]}, or set PILOTLIGHT_ENGINE=auto"
        )
    if options.dtype in QUANTIZED:
        raise ConfigError(f"PILOTLIGHT_DTYPE is {options.dtype}, which only an artifact has, but {against}")
    return Choice("torch", None, against)


def _fitting(
    engine: str,
    options: EngineOptions,
    artifacts: Sequence[Artifact],
    accelerator: str | None,
    installed: Sequence[str],
) -> tuple[str, Artifact | None]:
    """Return (why this engine cannot serve, or the empty string; the artifact to run, or ``None``)."""
    if options.device not in ("auto", "cpu"):
        return f"the device asked for is {options.device}", None
    if options.device == "auto" and options.engine == "auto" and accelerator is not None:
        return f"this machine has {accelerator}", None
    mine = [artifact for artifact in artifacts if artifact.engine == engine and artifact.device == "cpu"]
    if not mine:
        return f"the model has no {engine} artifact for a CPU", None
    precision = PRECISIONS.get(options.dtype, options.dtype)
    fitting = [artifact for artifact in mine if precision in ("auto", artifact.precision)]
    if not fitting:
        return f"none of its {engine} artifacts is {precision}", None
    if engine not in installed:
        return f"{' and '.join(PACKAGES[engine])} {'is' if len(PACKAGES[engine]) == 1 else 'are'} not installed", None
    return "", fitting[0]


def open_engine(model: Path, options: EngineOptions, *, slots: int, queue_size: int) -> Engine:
    """Open the engine for the model in this folder; one log line says which and why.

    Raises:
        ConfigError: the settings cannot be met.
        WeightsError: the model or its artifact cannot be loaded.
    """
    installed = [name for name, packages in PACKAGES.items() if all(find_spec(package) for package in packages)]
    choice = choose(
        options, find_artifacts(model), accelerator=find_accelerator(), installed=installed, model=str(model)
    )
    log.info("engine: %s (%s)", choice.engine, choice.why)
    if choice.engine == "torch" and "torch" not in installed:
        raise ConfigError(
            f"torch and transformers are not installed, and {choice.why}: make an artifact with `pilotlight export "
            f"{model}`, or install requirements.txt (in a clone: scripts/setup-venv run)"
        )
    Prefetch(model if choice.artifact is None else choice.artifact.folder)
    with paused_collector():
        return _open(model, choice, options, slots=slots, queue_size=queue_size)


def _open(model: Path, choice: Choice, options: EngineOptions, *, slots: int, queue_size: int) -> Engine:
    if choice.artifact is not None:
        return open_artifact(
            model,
            choice.artifact,
            slots=slots,
            queue_size=queue_size,
            staged=options.staged,
            cache_bytes=options.cache_bytes,
            deterministic=options.deterministic,
        )
    from pilotlight.engines.torch.engine import TorchEngine

    return TorchEngine(
        model,
        device=options.device,
        dtype=options.dtype,
        slots=slots,
        queue_size=queue_size,
        cache=options.cache,
        cache_bytes=options.cache_bytes,
        deterministic=options.deterministic,
    )


def open_artifact(
    model: Path,
    artifact: Artifact,
    *,
    slots: int,
    queue_size: int,
    staged: str = "0",
    cache_bytes: int | None = None,
    deterministic: bool = False,
) -> BackendEngine:
    """Open the engine of an artifact; ``staged``, ``cache_bytes`` and ``deterministic`` as in ``EngineOptions``.

    Raises:
        ConfigError: its packages are not installed.
        WeightsError: the model or the artifact cannot be loaded.
    """
    # Imported here: each engine brings its own heavy packages.
    if artifact.engine == "onnx":
        from pilotlight.engines.onnx.engine import OnnxEngine

        return OnnxEngine(
            model,
            artifact,
            slots=slots,
            queue_size=queue_size,
            cache_bytes=cache_bytes,
            deterministic=deterministic,
        )
    from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
    from pilotlight.engines.openvino.stateful import StageUnfitError

    stages = {"1": Stages.BOTH, "0": Stages.BATCHING, "first": Stages.FIRST}[staged]
    open_stages = partial(
        OpenVINOEngine,
        model,
        artifact,
        slots=slots,
        queue_size=queue_size,
        cache_bytes=cache_bytes,
        deterministic=deterministic,
    )
    try:
        return open_stages(stages=stages)
    except StageUnfitError as error:
        log.info("no first stage: %s", error)
        return open_stages(stages=Stages.BATCHING)


def find_accelerator(root: Path = Path("/")) -> str | None:
    """Return the accelerator that torch would compute on, without importing torch; ``None`` for the CPU."""
    if (root / "dev/nvidiactl").exists():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else None

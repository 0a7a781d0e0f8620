"""Chooses the engine that serves an encoder, by the rules of ``select``, and opens it."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from pilotlight.engines.collector import paused_collector
from pilotlight.engines.encoders.batch_planner import BatchLimits
from pilotlight.engines.encoders.model_config import native_task, read_encoder
from pilotlight.engines.encoders.types import EncoderEngine, Task
from pilotlight.engines.select import EngineOptions, choose, find_accelerator
from pilotlight.errors import ConfigError
from pilotlight.loading.files.artifacts import find_artifacts
from pilotlight.loading.start.prefetch import Prefetch

__all__ = ["open_encoder"]

log = logging.getLogger(__name__)

PACKAGES = {"openvino": ("openvino", "tokenizers"), "torch": ("torch", "transformers")}


def open_encoder(
    model: Path, task: Task, options: EngineOptions, *, pooling: str = "auto", queue_size: int, limits: BatchLimits
) -> EncoderEngine:
    """Open the encoder in this folder; one log line says which engine and why.

    Args:
        model: a checked model folder.
        task: what it is to do.
        options: the settings.
        pooling: as for ``read_encoder``.
        queue_size: texts inside at most.
        limits: of a batch.

    Raises:
        ConfigError: the settings cannot be met.
        WeightsError: the model or its artifact cannot be loaded, or is not for this task.
    """
    facts = read_encoder(model, task, pooling=pooling)
    if facts.note:
        log.warning("%s: %s", model, facts.note)
    installed = [name for name, packages in PACKAGES.items() if all(find_spec(package) for package in packages)]
    # An artifact does what the model was trained for: that of a classifier gives no vectors.
    artifacts = find_artifacts(model) if native_task(model) is task else ()
    choice = choose(options, artifacts, accelerator=find_accelerator(), installed=installed, model=str(model))
    log.info("engine: %s (%s)", choice.engine, choice.why)
    if choice.engine == "torch" and "torch" not in installed:
        raise ConfigError(
            f"torch and transformers are not installed, and {choice.why}: install requirements.txt (in a clone: "
            "scripts/setup-venv run)"
        )
    Prefetch(model if choice.artifact is None else choice.artifact.folder)
    with paused_collector():
        # Imported here: each engine brings its own heavy packages.
        if choice.artifact is not None:
            from pilotlight.engines.openvino.encoder import OpenVINOEncoder

            return OpenVINOEncoder(model, choice.artifact, task, pooling=pooling, queue_size=queue_size, limits=limits)
        from pilotlight.engines.torch.encoder import TorchEncoder

        return TorchEncoder(
            model,
            task,
            device=options.device,
            dtype=options.dtype,
            pooling=pooling,
            queue_size=queue_size,
            limits=limits,
        )

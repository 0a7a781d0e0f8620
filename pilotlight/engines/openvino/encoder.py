"""The openvino encoder for CPUs: OpenVINO over an artifact of ``pilotlight export``, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilotlight.config.encoder import DEFAULT_ENCODER
from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.layers import Layers
from pilotlight.engines.encoders.model_config import EncoderFacts, read_encoder
from pilotlight.engines.encoders.padding import pad
from pilotlight.engines.encoders.pooling import pool
from pilotlight.engines.encoders.types import EncoderInfo, Rows, Task
from pilotlight.engines.openvino.runtime import Runtime, runtime
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.errors import WeightsError
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.tracing import stage

__all__ = ["OpenVINOEncoder", "OpenVINONetwork"]

OUTPUTS = {Task.CLASSIFY: "logits", Task.EMBED: "last_hidden_state"}


class OpenVINOEncoder(BatchingEncoder):
    """OpenVINO with dynamic batching.

    Args:
        model: the model folder, for its tokenizer and configuration.
        artifact: what to run, from ``find_artifacts``.
        task: what to compute.
        pooling: as for ``read_encoder``.
        queue_size: texts inside at most.
        limits: of a batch.

    Raises:
        ConfigError: the runtime is not installed, or there is no such pooling.
        WeightsError: the model or the artifact cannot be loaded, or is not for this task.
    """

    def __init__(
        self,
        model: Path,
        artifact: Artifact,
        task: Task,
        *,
        pooling: str = "auto",
        queue_size: int = DEFAULT_ENCODER.queue_size,
        limits: BatchLimits | None = None,
    ) -> None:
        facts = read_encoder(model, task, pooling=pooling)
        modules = runtime()
        with stage("weights"):
            codec = TokenizerCodec(facts.body)
        with stage("compile"):
            network = OpenVINONetwork(modules, artifact, facts, task)
        info = EncoderInfo(
            engine="openvino",
            model=str(model),
            device="cpu",
            dtype=artifact.precision,
            task=task,
            max_tokens=facts.max_tokens,
            labels=facts.labels,
            activation=facts.activation,
            queue_size=queue_size,
            limits=limits or BatchLimits(),
            cost=Cost(0.0, 0.0),
            vocab_size=facts.vocab_size,
            rules=facts.rules,
        )
        super().__init__(network, codec, info)


class OpenVINONetwork:
    """A compiled encoder, padding and pooling.

    Args:
        modules: the runtime's.
        artifact: of a model that does ``task``.
        facts: of the model's folder.
        task: what it computes.

    Raises:
        WeightsError: the artifact cannot be loaded, or is for another task.
    """

    def __init__(self, modules: Runtime, artifact: Artifact, facts: EncoderFacts, task: Task) -> None:
        self._numpy: Any = modules.numpy
        self._facts = facts
        self._task = task
        self._layers = Layers(facts.layers)
        # fp32 is computed exactly, everything else in bfloat16 where the processor is fast at it.
        options = {"PERFORMANCE_HINT": "LATENCY"}
        if artifact.precision == "fp32":
            options["INFERENCE_PRECISION_HINT"] = "f32"
        path = artifact.folder / "openvino_model.xml"
        try:
            compiled = modules.openvino.Core().compile_model(str(path), "CPU", options)
        except RuntimeError as error:
            raise WeightsError(f"{path}: OpenVINO cannot load it ({error}): export the model again") from error
        self._inputs = {port.get_any_name() for port in compiled.inputs}
        names = {name for port in compiled.outputs for name in port.get_names()}
        if OUTPUTS[task] not in names:
            raise WeightsError(
                f"{path} has the outputs {', '.join(sorted(names))}; to {task} needs {OUTPUTS[task]}: export the model "
                "again, or set PILOTLIGHT_ENGINE=torch"
            )
        self._request = compiled.create_infer_request()

    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        numpy = self._numpy
        padded = pad(rows, self._facts.pad_id or 0, left=pad_left)
        mask = numpy.array(padded.mask, dtype=numpy.int64)
        types = numpy.array(padded.types, dtype=numpy.int64)
        given = {
            "input_ids": numpy.array(padded.ids, dtype=numpy.int64),
            "attention_mask": mask,
            "token_type_ids": types if self._facts.typed else numpy.zeros_like(types),
        }
        self._request.infer({name: value for name, value in given.items() if name in self._inputs})
        output = self._request.get_tensor(OUTPUTS[self._task]).data
        if self._task is Task.EMBED:
            pooled = numpy.array(padded.pooled, dtype=numpy.float32)
            output = pool(numpy, output, mask, pooled, padded, self._facts.pooling)
            output = self._layers(output)
        values: list[list[float]] = output.tolist()
        return values

"""The openvino encoder for CPUs: OpenVINO over an artifact of ``pilotlight export``, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilotlight.config.encoder import DEFAULT_ENCODER
from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.model_config import EncoderFacts, Pooling, read_encoder
from pilotlight.engines.encoders.types import EncoderInfo, Rows, Task
from pilotlight.engines.openvino.runtime import Runtime, runtime
from pilotlight.engines.text.tokenizer import TokenizerCodec
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
            codec = TokenizerCodec(model)
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

    def compute(self, rows: Rows) -> list[list[float]]:
        numpy = self._numpy
        longest = max(map(len, rows))
        ids = numpy.full((len(rows), longest), self._facts.pad_id, dtype=numpy.int64)
        mask = numpy.zeros((len(rows), longest), dtype=numpy.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        self._request.infer({name: value for name, value in given.items() if name in self._inputs})
        output = self._request.get_tensor(OUTPUTS[self._task]).data
        if self._task is Task.EMBED:
            output = self._pool(output, mask)
        values: list[list[float]] = output.tolist()
        return values

    def _pool(self, hidden: Any, mask: Any) -> Any:
        """Pool (rows, tokens, size) to (rows, size), without the padding."""
        if self._facts.pooling is Pooling.CLS:
            return hidden[:, 0]
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)

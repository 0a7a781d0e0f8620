"""The encoder for every text classifier or embedder that transformers loads, on every device that torch runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pilotlight.config.encoder import DEFAULT_ENCODER
from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.model_config import EncoderFacts, Pooling, read_encoder
from pilotlight.engines.encoders.types import EncoderInfo, Rows, Task
from pilotlight.engines.text.types import TokenCodec
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.lean_transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    transformers_logging,
)
from pilotlight.engines.torch.load import pick_device, pick_dtype
from pilotlight.engines.torch.load_mapped import load_mapped
from pilotlight.engines.torch.threads import single_threaded
from pilotlight.errors import WeightsError
from pilotlight.tracing import stage

__all__ = ["TorchEncoder", "TorchNetwork"]

LOCAL = {"local_files_only": True, "trust_remote_code": False}
# Tensors that some checkpoints lack and an embedder does not use: it pools by itself.
UNUSED = "pooler."


class TorchEncoder(BatchingEncoder):
    """transformers, with dynamic batching.

    Args:
        folder: a checked model folder.
        task: what to compute.
        device: ``auto`` (cuda, then mps, then cpu) or a torch device.
        dtype: ``auto`` (16 bits where the device is fast at it), ``float32``, ``float16`` or ``bfloat16``.
        pooling: as for ``read_encoder``.
        queue_size: texts inside at most.
        limits: of a batch.

    Raises:
        ConfigError: device, dtype or pooling is not available.
        WeightsError: transformers cannot load it, or it is not for this task.
    """

    def __init__(
        self,
        folder: Path,
        task: Task,
        *,
        device: str = "auto",
        dtype: str = "auto",
        pooling: str = "auto",
        queue_size: int = DEFAULT_ENCODER.queue_size,
        limits: BatchLimits | None = None,
    ) -> None:
        facts = read_encoder(folder, task, pooling=pooling)
        with single_threaded() as threads:
            model, codec = _load(folder, task, device=device, dtype=dtype)
        network = TorchNetwork(model, facts, task, threads)
        info = EncoderInfo(
            engine="torch",
            model=str(folder),
            device=str(model.device),
            dtype=str(model.dtype).removeprefix("torch."),
            task=task,
            max_tokens=facts.max_tokens,
            labels=facts.labels,
            activation=facts.activation,
            queue_size=queue_size,
            limits=limits or BatchLimits(),
            cost=Cost(0.0, 0.0),
        )
        super().__init__(network, codec, info)


class TorchNetwork:
    """A transformers encoder, padding and pooling.

    Args:
        model: in evaluation mode on its device; of the base class, or with a classification head.
        facts: of its folder.
        task: what it computes.
        threads: that the computing thread uses on a CPU.
    """

    def __init__(self, model: Any, facts: EncoderFacts, task: Task, threads: int) -> None:
        self._model = model
        self._facts = facts
        self._task = task
        self._threads = threads

    @torch.inference_mode()
    def compute(self, rows: Rows) -> list[list[float]]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # of this thread, see single_threaded
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self._facts.pad_id)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        device = self._model.device
        mask = mask.to(device)
        output = self._model(input_ids=ids.to(device), attention_mask=mask)
        if self._task is Task.CLASSIFY:
            values: list[list[float]] = output.logits.float().tolist()
        else:
            values = self._pool(output.last_hidden_state.float(), mask).tolist()
        return values

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool (rows, tokens, size) to (rows, size), without the padding."""
        if self._facts.pooling is Pooling.CLS:
            return hidden[:, 0]
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _load(folder: Path, task: Task, *, device: str, dtype: str) -> tuple[Any, TokenCodec]:
    """Return the model and its tokenizer."""
    transformers_logging.disable_progress_bar()  # a bar in a server's log is noise
    place = pick_device(device)
    precision = pick_dtype(dtype, place)
    auto: Any = AutoModelForSequenceClassification if task is Task.CLASSIFY else AutoModel
    try:
        with stage("weights"):
            tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
            model = load_mapped(folder, precision, auto=auto)
            if model is None:
                model, found = auto.from_pretrained(
                    folder, dtype=precision, use_safetensors=True, output_loading_info=True, **LOCAL
                )
                _require_whole(folder, found["missing_keys"])
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder}: transformers cannot load it as an encoder: {error}") from error
    with stage("device"):
        model = model.eval().requires_grad_(False).to(place)
    return model, TransformersCodec(tokenizer, folder)


def _require_whole(folder: Path, missing: set[str]) -> None:
    """Refuse a checkpoint whose missing tensors transformers would fill with random numbers."""
    lacking = sorted(name for name in missing if not name.startswith(UNUSED))
    if lacking:
        raise WeightsError(
            f"{folder} lacks {len(lacking)} of the model's tensors, such as {lacking[0]}: fetch it again"
        )

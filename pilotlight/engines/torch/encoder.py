"""The encoder for every text classifier or embedder that transformers loads, on every device that torch runs on."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from pilotlight.config.encoder import DEFAULT_ENCODER
from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.layers import Layers
from pilotlight.engines.encoders.model_config import SPLIT, EncoderFacts, read_encoder
from pilotlight.engines.encoders.padding import pad
from pilotlight.engines.encoders.pooling import pool
from pilotlight.engines.encoders.types import EncoderCodec, EncoderInfo, Rows, Task
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.lean_transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    transformers_logging,
)
from pilotlight.engines.torch.load import pick_device, pick_dtype
from pilotlight.engines.torch.load_mapped import load_model
from pilotlight.engines.torch.threads import single_threaded
from pilotlight.engines.torch.tokenizer import open_tokenizer
from pilotlight.errors import PilotlightError, WeightsError
from pilotlight.tracing import stage

__all__ = ["TorchEncoder", "TorchNetwork"]

# Patterns of tensors. An embedder pools by itself and needs no pooler. A body is loaded from a checkpoint with any
# head, but not from one with more layers; the encoder of an encoder-decoder leaves the decoder.
POOLER = r"^pooler\."
NO_LAYER = r"^(?!.*\b(?:layers?|h|blocks?|groups?)\.\d+\.)"
DECODER = r"|^(?:transformer\.)?decoder\."


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
            model, codec, typed = _load(facts, task, device=device, dtype=dtype)
        network = TorchNetwork(model, facts, task, threads, typed=typed)
        super().__init__(
            network,
            codec,
            EncoderInfo(
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
                vocab_size=model.config.get_text_config().to_dict().get("vocab_size"),
                rules=facts.rules,
            ),
        )


class TorchNetwork:
    """A transformers encoder, padding, pooling, and the layers over the pooled vector.

    Args:
        model: in evaluation mode on its device; of the base class, or with a classification head.
        facts: of its folder.
        task: what it computes.
        threads: that the computing thread uses on a CPU.
        typed: whether the model is given token types.
    """

    def __init__(self, model: Any, facts: EncoderFacts, task: Task, threads: int, *, typed: bool) -> None:
        self._model = model
        self._facts = facts
        self._task = task
        self._threads = threads
        self._typed = typed
        self._config = model.config.get_text_config()
        self._layers = Layers(facts.layers)
        # A decoder's head takes its answer from the last token that is not padding. Where the model knows no padding
        # token, each batch is padded with one that none of its texts has.
        self._lends_pad = task is Task.CLASSIFY and self._config.pad_token_id is None

    @torch.inference_mode()
    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # of this thread, see single_threaded
        padded = pad(rows, self._pad_id(rows), left=pad_left)
        device = self._model.device
        mask = torch.tensor(padded.mask, device=device)
        given = {"input_ids": torch.tensor(padded.ids, device=device), "attention_mask": mask}
        if self._typed:
            given["token_type_ids"] = torch.tensor(padded.types, device=device)
        output = self._model(**given)
        if self._task is Task.CLASSIFY:
            return _lists(output.logits.float())
        pooled = torch.tensor(padded.pooled, device=device)
        vectors = pool(torch, output.last_hidden_state.float(), mask, pooled, padded, self._facts.pooling)
        return _lists(self._layers(vectors.cpu().numpy()) if self._layers else vectors)

    def _pad_id(self, rows: Rows) -> int:
        if not self._lends_pad:
            return self._config.pad_token_id or 0
        used = {token for row in rows for token in row.ids}
        free = next(token for token in range(len(used) + 1) if token not in used)
        self._config.pad_token_id = free  # the head reads it
        return free


def _lists(array: Any) -> list[list[float]]:
    values: list[list[float]] = array.tolist()
    return values


def _load(facts: EncoderFacts, task: Task, *, device: str, dtype: str) -> tuple[Any, EncoderCodec, bool]:
    """Return the model, its tokenizer, and whether the model is given token types."""
    transformers_logging.disable_progress_bar()  # a bar in a server's log is noise
    place, folder = pick_device(device), facts.body
    precision = pick_dtype(dtype, place)
    hold = NO_LAYER + (DECODER if facts.model_type in SPLIT else "")
    lack = POOLER if task is Task.EMBED else ""
    try:
        with stage("weights"):
            tokenizer = open_tokenizer(folder)
            auto = _class_for(task, facts.model_type)
            model = load_model(folder, precision, auto=auto, may_lack=lack, may_hold=hold, device=place)
    except PilotlightError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds, some of them bare
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{folder}: transformers cannot load it as an encoder: {reason}") from error
    with stage("device"):
        model = model.eval().requires_grad_(False)
        if not getattr(model, "is_quantized", False):  # quantised weights are where they belong, and may not be moved
            model = model.to(place)
    if facts.model_type == "big_bird":
        # Its own code goes over to this for good at the first short text; so that no text's numbers depend on it:
        model.base_model.set_attention_type("original_full")
    return model, TransformersCodec(tokenizer, folder), _takes_types(model, tokenizer)


def _class_for(task: Task, model_type: str) -> Any:
    """Return the class that loads the model: of an encoder-decoder that embeds, the encoder alone."""
    if task is Task.CLASSIFY:
        return AutoModelForSequenceClassification
    return AutoModelForTextEncoding if model_type in SPLIT else AutoModel


def _takes_types(model: Any, tokenizer: Any) -> bool:
    """Whether token types belong to the model's input: it has a table of them, and its tokenizer makes them."""
    parameters = inspect.signature(model.forward).parameters
    has_table = (getattr(model.config, "type_vocab_size", 0) or 0) > 1 or model.config.model_type == "xlnet"
    return has_table and "token_type_ids" in parameters and "token_type_ids" in tokenizer.model_input_names

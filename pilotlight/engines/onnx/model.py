"""An ONNX language model in onnxruntime, with a cache of keys and values whose rows are independent texts.

The model builder's attention takes each row's length from the mask, appends to the row in place, and computes positions
from that length. So texts of any lengths advance together, and can join or leave between two steps.
"""

from __future__ import annotations

import logging
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotlight.engines.memory.untouched import give_back, untouched
from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["MODEL_NAME", "OnnxModel"]

log = logging.getLogger(__name__)

MODEL_NAME = "model.onnx"
CONFIG_NAME = "genai_config.json"
PROVIDERS = ["CPUExecutionProvider"]
PAST, PRESENT = "past_key_values", "present"
FATAL = 4  # onnxruntime's level: errors are raised, and need not be printed too


@dataclass(frozen=True, slots=True)
class _Cached:
    """One tensor of the cache: its names as input and as output, and its size for a token."""

    past: str
    present: str
    heads: int
    head_size: int


class OnnxModel:
    """The loaded model; call ``reserve`` before the first ``run``.

    Args:
        artifact: the folder that ``pilotlight export`` made.

    Attributes:
        vocab_size: scores per token.
        token_bytes: of cache, for one token of one text.
        heads: of the attention's queries.
        weights_bytes: of the artifact's files.

    Raises:
        ConfigError: onnxruntime is not installed.
        WeightsError: it cannot load the model, or the model has other inputs or outputs than this engine supports.
    """

    def __init__(self, artifact: Path) -> None:
        self._session = _open(artifact)
        inputs = {one.name: one for one in self._session.get_inputs()}
        outputs = {one.name: one for one in self._session.get_outputs()}
        self.heads, head_size = _heads(artifact)
        self.weights_bytes = sum(path.stat().st_size for path in artifact.glob(f"{MODEL_NAME}*"))
        self._cached = [
            _Cached(name, PRESENT + name.removeprefix(PAST), one.shape[1], head_size)
            for name, one in inputs.items()
            if name.startswith(PAST)
        ]
        pasts = {one.past for one in self._cached}
        presents = {one.present for one in self._cached}
        floats = all(one.type == "tensor(float)" for one in inputs.values() if one.name in pasts)
        wanted = inputs.keys() == pasts | {"input_ids", "attention_mask"} and outputs.keys() == presents | {"logits"}
        if not (self._cached and floats and wanted and outputs["logits"].shape[1] == 1):
            raise WeightsError(f"{artifact / MODEL_NAME} is not what `pilotlight export` makes: export the model again")
        self.vocab_size: int = outputs["logits"].shape[2]
        self.token_bytes = sum(4 * one.heads * one.head_size for one in self._cached)
        self._mapped: list[mmap.mmap] = []
        self._memory: list[NDArray[np.float32]] = []
        self._bindings: dict[tuple[int, int], Any] = {}

    def reserve(self, rows: int, tokens: int) -> None:
        """Reserve memory for ``rows`` texts of ``tokens`` each; the system allocates its pages as they are used."""
        self._bindings.clear()
        shapes = [(rows, one.heads, tokens, one.head_size) for one in self._cached]
        # Huge pages would give a head's row the memory of thousands of tokens at its first one.
        self._mapped = [untouched(4 * math.prod(shape), small_pages=True) for shape in shapes]
        self._memory = [
            np.frombuffer(memory, np.float32).reshape(shape) for memory, shape in zip(self._mapped, shapes, strict=True)
        ]

    def run(self, first: int, ids: Sequence[Sequence[int]], lengths: Sequence[int]) -> NDArray[np.float32]:
        """Read the next tokens of some texts.

        Args:
            first: row of the first text; the others are in the rows after it.
            ids: the tokens of each text: one of each, or several of a single text.
            lengths: of each text, with these tokens.

        Returns:
            Scores of the next token, shape (texts, vocab_size); valid until the next run of as many texts.
        """
        texts = len(ids)
        tokens = np.array(ids, dtype=np.int64)
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
        binding, scores = self._binding(first, texts)
        for name, value in (("input_ids", tokens), ("attention_mask", mask)):
            binding.bind_input(name, "cpu", 0, np.int64, value.shape, value.ctypes.data)
        self._session.run_with_iobinding(binding)
        found: NDArray[np.float32] = scores[:, 0]
        return found

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a text's first ``tokens`` from one row to another."""
        for memory in self._memory:
            memory[target, :, :tokens] = memory[source, :, :tokens]

    def clear(self, row: int) -> None:
        """Give the memory of a row back to the system."""
        for mapped, memory in zip(self._mapped, self._memory, strict=True):
            size = memory[0].nbytes
            give_back(mapped, row * size, (row + 1) * size)

    def _binding(self, first: int, texts: int) -> tuple[Any, NDArray[np.float32]]:
        """Return a binding of the rows' cache and of an array for their scores.

        Bindings are kept: making one takes longer than a small model's step.
        """
        if (first, texts) not in self._bindings:
            binding = self._session.io_binding()
            scores = np.empty((texts, 1, self.vocab_size), np.float32)
            binding.bind_output("logits", "cpu", 0, np.float32, scores.shape, scores.ctypes.data)
            for one, memory in zip(self._cached, self._memory, strict=True):
                rows = memory[first : first + texts]
                place = ("cpu", 0, np.float32, rows.shape, rows.ctypes.data)
                binding.bind_input(one.past, *place)
                binding.bind_output(one.present, *place)
            self._bindings[first, texts] = binding, scores
        found: tuple[Any, NDArray[np.float32]] = self._bindings[first, texts]
        return found


def _open(artifact: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"the onnx engine needs the package onnxruntime ({error}): install pilotlight[onnx], or set "
            "PILOTLIGHT_ENGINE=torch"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    # Threads that spin while they wait take the processor from the rest of this process.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = artifact / MODEL_NAME
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    except Exception as error:  # the package has a dozen exception types without a common base
        raise WeightsError(f"{path}: onnxruntime cannot load it ({error}): export the model again") from error


def _heads(artifact: Path) -> tuple[int, int]:
    """Return how many heads the attention's queries have, and the size of each."""
    path = artifact / CONFIG_NAME
    try:
        decoder = read_json(path)["model"]["decoder"]
        return int(decoder["num_attention_heads"]), int(decoder["head_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not describe a language model: export the model again") from error

"""OpenVINO's stateful attention: a model for one request at a time, compiled at export so that it opens at once.

The compiled file is the graph after the compiler's passes, a megabyte or two without the weights: those stay in
``openvino_model.bin``, which is mapped. The runtime refuses a graph of another version of itself or of another
instruction set; that is a ``StageUnfitError``, and the engine starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pilotlight.engines.openvino.runtime import Runtime
from pilotlight.errors import PilotlightError

__all__ = [
    "BLOB_NAME",
    "WEIGHTS_NAME",
    "StageUnfitError",
    "StatefulModel",
    "compile_stateful",
    "import_stateful",
    "open_stateful",
]

BLOB_NAME = "first_stage.blob"
WEIGHTS_NAME = "openvino_model.bin"
INPUTS = {"input_ids", "attention_mask", "position_ids", "beam_idx"}
# Operations between the last matrix product and the scores: softcapping, scaling, a bias, a cast.
AFTER_HEAD = {"Add", "Convert", "Divide", "Multiply", "Tanh"}
# Tokens of a prompt that are read at once: a cancel or a close waits for such a piece, not for the whole prompt.
PIECE_TOKENS = 256


class StageUnfitError(PilotlightError):
    """The compiled model cannot be used here: it is missing, or for another machine or version."""


def compile_stateful(runtime: Runtime, artifact: Path, precision: str) -> None:
    """Compile the artifact in ``artifact`` for this machine, and write ``BLOB_NAME`` beside it.

    Raises:
        StageUnfitError: the model has inputs that this stage does not support, or the runtime cannot open what it has
            compiled (a mixture of experts, in 2026.4); no file is left.
    """
    (artifact / BLOB_NAME).write_bytes(_compile(runtime, artifact, precision).export_model().getvalue())
    try:
        import_stateful(runtime, artifact, precision)
    except StageUnfitError:
        (artifact / BLOB_NAME).unlink()
        raise


def import_stateful(runtime: Runtime, artifact: Path, precision: str) -> StatefulModel:
    """Open the model that ``compile_stateful`` wrote.

    Raises:
        StageUnfitError: it cannot be used here; the message says why.
    """
    path, weights = artifact / BLOB_NAME, artifact / WEIGHTS_NAME
    if not path.is_file() or not weights.is_file():
        raise StageUnfitError(f"{artifact.name} has no {BLOB_NAME}")
    settings = {**_settings(runtime, precision), "WEIGHTS_PATH": str(weights)}
    try:
        compiled = runtime.core.import_model(path.read_bytes(), "CPU", settings)
        return StatefulModel(runtime, compiled)
    except (OSError, RuntimeError) as error:
        raise StageUnfitError(f"{path.name}: {_reason(error)}") from error


def open_stateful(runtime: Runtime, artifact: Path, precision: str) -> StatefulModel:
    """Open the same, or compile it where that file cannot be used, which takes longer but works on every machine.

    The file is not used for a deterministic engine either: it computes in the precision that it was compiled for.

    Raises:
        StageUnfitError: the model is not for this stage.
    """
    if not runtime.deterministic:
        with suppress(StageUnfitError):
            return import_stateful(runtime, artifact, precision)
    return StatefulModel(runtime, _compile(runtime, artifact, precision))


class StatefulModel:
    """A compiled model with one request's keys and values.

    Args:
        runtime: the modules.
        compiled: as the functions above make it.
    """

    def __init__(self, runtime: Runtime, compiled: Any) -> None:
        self._runtime = runtime
        self._request = compiled.create_infer_request()
        self._positioned = any("position_ids" in model_input.names for model_input in compiled.inputs)
        self._tokens = 0

    def begin(self) -> None:
        """Forget the previous request."""
        self._request.reset_state()
        self._tokens = 0

    def scores(self, ids: Sequence[int]) -> Any:
        """Read ``ids``, which follow the tokens read since ``begin``, and return the next token's scores.

        Returns:
            float32 of shape (vocab_size,), a copy.
        """
        numpy, tensor = self._runtime.numpy, self._runtime.openvino.Tensor
        start, self._tokens = self._tokens, self._tokens + len(ids)
        inputs = {
            "input_ids": numpy.array([ids], dtype="int64"),
            "attention_mask": numpy.ones((1, self._tokens), dtype="int64"),
            "beam_idx": numpy.zeros(1, dtype="int32"),
        }
        if self._positioned:
            inputs["position_ids"] = numpy.arange(start, self._tokens, dtype="int64")[None]
        for name, value in inputs.items():
            self._request.set_tensor(name, tensor(value))
        self._request.infer()
        return self._request.get_tensor("logits").data[0, -1].astype("float32")


def _compile(runtime: Runtime, artifact: Path, precision: str) -> Any:
    core = runtime.openvino.Core()
    core.set_property({"CACHE_MODE": "OPTIMIZE_SIZE"})  # set before the model is read, or its weights are written too
    model = core.read_model(artifact / "openvino_model.xml")
    unknown = {name for model_input in model.inputs for name in model_input.names} - INPUTS
    if unknown:
        raise StageUnfitError(f"the model has the further inputs {', '.join(sorted(unknown))}")
    _score_last_token_only(runtime, model)
    return core.compile_model(model, "CPU", _settings(runtime, precision))


def _settings(runtime: Runtime, precision: str) -> dict[str, Any]:
    return {**runtime.settings(precision), "ENABLE_WEIGHTLESS": True}


def _score_last_token_only(runtime: Runtime, model: Any) -> None:
    """Make the model's head compute the last token only: the scores of a prompt's other tokens are not used.

    A model whose head has another structure stays as it is, and is slower at long prompts.
    """
    from openvino import opset13

    node = model.output("logits").get_node().input_value(0).get_node()
    while node.get_type_name() in AFTER_HEAD:
        varying = [value for value in node.input_values() if not _is_constant(value.get_node())]
        if len(varying) != 1:
            return
        node = varying[0].get_node()
    if node.get_type_name() != "MatMul" or node.input_value(0).get_partial_shape().rank.get_length() != 3:
        return
    numbers = [runtime.numpy.array([number], dtype="int64") for number in (-1, 2**31 - 1, 1, 1)]
    start, stop, step, axis = (opset13.constant(number) for number in numbers)
    last = opset13.slice(node.input_value(0), start, stop, step, axis)
    node.input(0).replace_source_output(last.output(0))
    model.validate_nodes_and_infer_types()


def _is_constant(node: Any) -> bool:
    """Whether a node does not depend on the inputs: a constant, or one that is unpacked and scaled."""
    values = node.input_values()
    kind = node.get_type_name()
    return kind == "Constant" or (
        kind != "Parameter" and bool(values) and all(_is_constant(v.get_node()) for v in values)
    )


def _reason(error: Exception) -> str:
    """Return the runtime's message without the lines that only name a place in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return " ".join(" ".join(told).split()) or type(error).__name__

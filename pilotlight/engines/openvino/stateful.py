"""A model that takes one request at a time, compiled at export and so up at once: OpenVINO's stateful attention.

What the exporter's ``export_model`` wrote is the graph after the compiler's passes, a megabyte or two, without the
weights: those stay in ``openvino_model.bin``, which is mapped. The runtime refuses a graph that another version of it
made, or that was made for another instruction set; ``StageUnfitError`` says so, and the engine starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
# What may stand between the last matrix product and the scores: softcapping, scaling, a bias, a cast.
AFTER_HEAD = {"Add", "Convert", "Divide", "Multiply", "Tanh"}
# A longer prompt is taken in pieces, so that a cancel or a close need not wait for all of it.
PIECE_TOKENS = 256


class StageUnfitError(PilotlightError):
    """The compiled model cannot be used here: it is missing, or of another machine or version."""


def compile_stateful(runtime: Runtime, artifact: Path, precision: str) -> None:
    """Compile the artifact in ``artifact`` for this machine, and write ``BLOB_NAME`` beside it.

    Raises:
        StageUnfitError: the model takes inputs that this stage does not know, or the runtime cannot open what it has
            compiled (a mixture of experts, in 2026.4); nothing is left there.
    """
    (artifact / BLOB_NAME).write_bytes(_compile(runtime, artifact, precision).export_model().getvalue())
    try:
        import_stateful(runtime, artifact, precision)
    except StageUnfitError:
        (artifact / BLOB_NAME).unlink()
        raise


def import_stateful(runtime: Runtime, artifact: Path, precision: str) -> StatefulModel:
    """The model that ``compile_stateful`` wrote, opened.

    Raises:
        StageUnfitError: it cannot be used here; says why.
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
    """The same, or compiled anew where what was written cannot be used: that takes longer, but goes anywhere.

    Raises:
        StageUnfitError: the model is not for this stage.
    """
    try:
        return import_stateful(runtime, artifact, precision)
    except StageUnfitError:
        return StatefulModel(runtime, _compile(runtime, artifact, precision))


class StatefulModel:
    """A compiled model with one request's keys and values.

    Args:
        runtime: the modules.
        compiled: from the functions above.
    """

    def __init__(self, runtime: Runtime, compiled: Any) -> None:
        self._runtime = runtime
        self._request = compiled.create_infer_request()
        self._positioned = any("position_ids" in model_input.names for model_input in compiled.inputs)
        self._tokens = 0

    def begin(self) -> None:
        """Forget the request before."""
        self._request.reset_state()
        self._tokens = 0

    def scores(self, ids: Sequence[int]) -> Any:
        """Take in ``ids``, which follow what was taken in since ``begin``; the next token's scores.

        Returns:
            float32 of shape (vocabulary,), the caller's own.
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
        raise StageUnfitError(f"the model takes {', '.join(sorted(unknown))} too")
    _score_last_token_only(runtime, model)
    return core.compile_model(model, "CPU", _settings(runtime, precision))


def _settings(runtime: Runtime, precision: str) -> dict[str, Any]:
    return {**runtime.settings(precision), "ENABLE_WEIGHTLESS": True}


def _score_last_token_only(runtime: Runtime, model: Any) -> None:
    """Have the model's head see the last token alone: nobody asks for the scores of a prompt's other tokens.

    A model whose head is built in a way that is not known here stays as it is, and is slower at long prompts.
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
    """Whether nothing that the model is given changes it: a constant, or one that is unpacked and scaled."""
    values = node.input_values()
    kind = node.get_type_name()
    return kind == "Constant" or (
        kind != "Parameter" and bool(values) and all(_is_constant(v.get_node()) for v in values)
    )


def _reason(error: Exception) -> str:
    """The lines of the runtime's message that say something."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return " ".join(" ".join(told).split()) or type(error).__name__

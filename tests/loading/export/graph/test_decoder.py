"""Graphs that the builder makes, beside transformers' own forward pass in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import openvino
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pilotlight.errors import WeightsError
from pilotlight.loading.export.graph.build import require_graph
from pilotlight.loading.export.graph.calibration import TEXT, WINDOW_TOKENS, WINDOWS, measure_importance
from pilotlight.loading.export.graph.decoder import build_decoder
from pilotlight.loading.export.graph.packing import pack_bytes, pack_nibbles
from pilotlight.loading.export.graph.shape import UnsupportedModelError
from pilotlight.loading.export.graph.tensors import Stored, Tensors
from pilotlight.loading.files.artifacts import Artifact
from tests.built import FAMILIES, built, change_config, make_family

IDS = numpy.array([[0, 0, 0, 7, 301, 44, 9, 100], [5, 17, 401, 3, 250, 99, 12, 13]], "i8")
MASK = numpy.array([[0, 0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]], "i8")
# The runtime would quantize the activations too where the weights are quantized.
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


def request_for(artifact: Artifact) -> Any:
    path = artifact.folder / "openvino_model.xml"
    return openvino.Core().compile_model(path, "CPU", EXACT).create_infer_request()


def read(request: Any, ids: Any, mask: Any) -> Any:
    """Scores of ``ids``, which follow what was read before; ``mask`` is of all of them."""
    positions = (mask.cumsum(1) - 1).clip(0)[:, -ids.shape[1] :]
    rows = numpy.arange(len(ids), dtype="i4")
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "beam_idx": rows}
    return request.infer(inputs)["logits"]


def expected(model: Path, ids: Any, mask: Any) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    positions = (mask.cumsum(1) - 1).clip(0)
    with torch.no_grad():
        return loaded(
            torch.tensor(ids), attention_mask=torch.tensor(mask), position_ids=torch.tensor(positions)
        ).logits.numpy()


@pytest.mark.parametrize("name", FAMILIES)
def test_scores_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    model = make_family(name, tmp_path)
    reference = expected(model, IDS, MASK)
    request = request_for(built(model))
    found = numpy.concatenate([read(request, IDS[:, :5], MASK[:, :5]), read(request, IDS[:, 5:], MASK)], 1)
    assert numpy.abs(reference).max() > 1, "scores near zero show nothing"
    numpy.testing.assert_allclose(found[MASK > 0], reference[MASK > 0], atol=1e-4)


def test_a_head_in_the_file_counts_although_the_configuration_ties_it(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    change_config(model, tie_word_embeddings=True)
    reference = expected(model, IDS, MASK)
    found = read(request_for(built(model)), IDS, MASK)
    numpy.testing.assert_allclose(found[MASK > 0], reference[MASK > 0], atol=1e-4)


def rounded(precision: str, name: str, weights: Any, importance: Mapping[str, Any]) -> Any:
    """What the builder makes of a tensor."""
    if weights.ndim == 1:
        return weights
    if precision == "int8" or "embed" in name:
        packed = pack_bytes(weights)
    else:
        packed = pack_nibbles(weights, importance[name.removesuffix(".weight")])
    return ((packed.codes.astype("f4") - packed.zeros) * packed.scales).reshape(weights.shape)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_rounded_weights_are_computed_with_as_they_are(precision: str, tmp_path: Path) -> None:
    model = make_family("llama-tied", tmp_path)
    found = read(request_for(built(model, precision)), IDS, MASK)
    before = expected(model, IDS, MASK)
    tensors = load_file(model / "model.safetensors")
    importance = measure_importance(model, require_graph(model))
    made = {name: torch.tensor(rounded(precision, name, one.numpy(), importance)) for name, one in tensors.items()}
    save_file(made, model / "new")
    (model / "new").replace(model / "model.safetensors")
    reference = expected(model, IDS, MASK)
    assert numpy.abs(reference - before)[MASK > 0].max() > 0.01
    numpy.testing.assert_allclose(found[MASK > 0], reference[MASK > 0], atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "phi3"])  # the latter has fused matrices
def test_the_importance_of_columns_is_the_mean_square_of_their_inputs(name: str, tmp_path: Path) -> None:
    model = make_family(name, tmp_path)
    found = measure_importance(model, require_graph(model))
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    linear = {key: part for key, part in network.named_modules() if isinstance(part, torch.nn.Linear)}
    del linear["lm_head"]
    assert found.keys() == linear.keys()
    sums = dict.fromkeys(linear, torch.zeros(()))

    def add(key: str, values: torch.Tensor) -> None:
        sums[key] = sums[key] + values.square().sum((0, 1))

    for key, part in linear.items():
        part.register_forward_pre_hook(lambda _, inputs, key=key: add(key, inputs[0]))
    ids = AutoTokenizer.from_pretrained(model)(TEXT.read_text("utf-8"))["input_ids"][: WINDOWS * WINDOW_TOKENS]
    with torch.no_grad():
        for start in range(0, len(ids), WINDOW_TOKENS):
            network(torch.tensor([ids[start : start + WINDOW_TOKENS]]))
    for key, total in sums.items():
        numpy.testing.assert_allclose(found[key], total.numpy() / len(ids), rtol=0.15, err_msg=key)  # of 8-bit weights


def test_without_a_tokenizer_nothing_is_measured_and_int4_is_built_all_the_same(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    (model / "tokenizer.json").unlink()
    assert measure_importance(model, require_graph(model)) == {}
    assert (built(model, "int4").folder / "openvino_model.bin").is_file()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_are_kept_as_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    save_file({name: t.to(dtype) for name, t in load_file(model / "model.safetensors").items()}, model / "new")
    (model / "new").replace(model / "model.safetensors")
    artifact = built(model, "bf16" if dtype == torch.bfloat16 else "fp16")
    reference = expected(model, IDS, MASK)
    numpy.testing.assert_allclose(read(request_for(artifact), IDS, MASK)[MASK > 0], reference[MASK > 0], atol=1e-4)


def test_a_missing_a_surplus_and_a_misshapen_tensor_are_refused_by_name(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    shape = require_graph(model)
    tensors = {key: Stored("F32", value.numpy()) for key, value in load_file(model / "model.safetensors").items()}
    build_decoder(shape, Tensors(tensors), "fp32")
    name = "model.layers.1.mlp.up_proj.weight"
    turned = Stored("F32", tensors[name].bits.T)
    for changed, error, message in (
        ({key: value for key, value in tensors.items() if key != name}, WeightsError, f"lack {name}"),
        (tensors | {"model.extra": turned}, UnsupportedModelError, r"1 tensors .*: model\.extra"),
        (tensors | {name: turned}, WeightsError, rf"{name} has the shape \(64, 96\)"),
    ):
        with pytest.raises(error, match=message):
            build_decoder(shape, Tensors(changed), "fp32")

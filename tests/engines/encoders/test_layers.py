"""Dense layers over a pooled vector, against torch's own."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from pilotlight.engines.encoders.layers import Layers
from pilotlight.engines.encoders.sentence_transformers import DENSE_ACTIVATIONS, Dense, Normalize
from pilotlight.errors import WeightsError

ROWS = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


def dense(
    folder: Path, activation: str = "Identity", dtype: torch.dtype = torch.float32, *, bias: bool = True
) -> tuple[Dense, torch.nn.Module]:
    folder.mkdir()
    linear = torch.nn.Linear(8, 4, bias=bias).to(dtype)
    save_file({f"linear.{name}": one.detach() for name, one in linear.named_parameters()}, folder / "model.safetensors")
    return Dense(folder, activation), torch.nn.Sequential(linear.float(), getattr(torch.nn, activation)())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("activation", DENSE_ACTIVATIONS)
def test_a_dense_layer_is_torch_s(activation: str, dtype: torch.dtype, tmp_path: Path) -> None:
    layer, module = dense(tmp_path / "2_Dense", activation, dtype, bias=activation != "Tanh")
    found = torch.from_numpy(Layers((layer,))(ROWS.numpy()))
    with torch.inference_mode():
        assert torch.allclose(found, module(ROWS), atol=1e-6)


def test_layers_follow_each_other(tmp_path: Path) -> None:
    layer, module = dense(tmp_path / "3_Dense")
    found = torch.from_numpy(Layers((Normalize(), layer, Normalize()))(ROWS.numpy()))
    unit = torch.nn.functional.normalize
    with torch.inference_mode():
        assert torch.allclose(found, unit(module(unit(ROWS))), atol=1e-6)
    assert not numpy.isnan(Layers((Normalize(),))(numpy.zeros((1, 8), dtype="float32"))).any()
    assert not Layers(())


def test_a_residual_is_added(tmp_path: Path) -> None:
    layer, module = dense(tmp_path / "2_Dense")
    residual = torch.nn.Linear(8, 4, bias=False)
    tensors = {f"linear.{name}": one.detach() for name, one in module[0].named_parameters()}
    save_file({**tensors, "residual.weight": residual.weight.detach()}, layer.folder / "model.safetensors")
    found = torch.from_numpy(Layers((Dense(layer.folder, "Identity", residual=True),))(ROWS.numpy()))
    with torch.inference_mode():
        assert torch.allclose(found, module(ROWS) + residual(ROWS), atol=1e-6)
    with pytest.raises(WeightsError, match=r"has residual\.weight, which Dense does not have"):
        Layers((layer,))


def test_a_layer_for_other_vectors_or_without_its_tensors_is_refused(tmp_path: Path) -> None:
    layer, _ = dense(tmp_path / "2_Dense")
    with pytest.raises(WeightsError, match="takes vectors of 8 numbers, and is given 9"):
        Layers((layer,))(numpy.zeros((1, 9)))
    save_file({"weight": torch.zeros(4, 8)}, layer.folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"has no linear\.weight"):
        Layers((layer,))

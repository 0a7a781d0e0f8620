"""The precisions that a folder can be written in, and values that do not fit them."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.gguf.header import TensorEntry, read_header
from pilotlight.loading.gguf.values import check_type, read_tensor
from tests.loading.gguf.files import tiny_gguf, write_gguf


@pytest.mark.parametrize(("dtype", "expected"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_rounds_as_torch_does(dtype: str, expected: torch.dtype, tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "a.gguf")
    convert_gguf(file, tmp_path / "full", dtype="float32")
    convert_gguf(file, tmp_path / "half", dtype=dtype)
    full, half = (load_file(tmp_path / name / "model.safetensors") for name in ("full", "half"))
    for name, values in full.items():
        assert torch.equal(half[name], values.to(expected))


@pytest.mark.parametrize(
    ("kind", "expected"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16"), ("Q8_0", "float16")]
)
def test_auto_keeps_what_the_file_holds(kind: str, expected: str, tmp_path: Path) -> None:
    done = convert_gguf(tiny_gguf(tmp_path / "a.gguf", kind=kind), tmp_path / "a")
    assert done.dtype == expected
    assert {str(one.dtype) for one in load_file(tmp_path / "a/model.safetensors").values()} == {f"torch.{expected}"}


def entry_of(values: NDArray[np.float32], tmp_path: Path, kind: str = "F32") -> TensorEntry:
    return read_header(write_gguf(tmp_path / "v.gguf", "llama", {"a.weight": values}, kind=kind)).tensors[0]


def test_a_large_tensor_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).standard_normal((37, 64)).astype(np.float32)
    monkeypatch.setattr("pilotlight.loading.gguf.values.CHUNK_VALUES", 640)
    expected = gguf.quants.dequantize(
        gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q5_0), gguf.GGMLQuantizationType.Q5_0
    )
    np.testing.assert_array_equal(read_tensor(entry_of(values, tmp_path, "Q5_0"), dtype="float32"), expected)


def test_values_beyond_float16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="beyond the range of float16: convert it with --dtype bfloat16 or float32"):
        read_tensor(entry_of(np.full((2, 32), 1e6, np.float32), tmp_path), dtype="float16")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tensor 'a\.weight' that are not finite"):
        read_tensor(entry_of(np.full((2, 32), np.nan, np.float32), tmp_path), dtype="float32")


def test_a_type_that_cannot_be_dequantised_is_refused() -> None:
    entry = TensorEntry("a.weight", (1, 256), "TQ1_0", 0, 54, Path("a.gguf"))
    with pytest.raises(
        WeightsError, match=r"'a\.weight' as TQ1_0, which pilotlight cannot dequantise\. It can: F32, F16"
    ):
        check_type(entry)

"""Checkpoints whose weights are quantised: by which method, and what it takes to load them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.files.json_files import read_json

__all__ = ["Method", "quantization_of", "require_kernels"]

# Files in which the tools that quantise describe their result where config.json does not.
OWN_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq", "hf_quant_config.json": "modelopt"}


@dataclass(frozen=True, slots=True)
class Method:
    """A way to quantise weights.

    Attributes:
        label: its name.
        packages: that load such weights, by the names that pip installs; empty where transformers cannot load them.
        cuda: whether they need a CUDA GPU.
    """

    label: str
    packages: tuple[str, ...] = ()
    cuda: bool = False


# By transformers' ``quant_method`` (5.23) and the names that other tools write. All of them place their tensors with
# accelerate. What transformers can only dequantise (MXFP4, fp8 without a GPU) needs nothing else.
METHODS = {
    "aqlm": Method("AQLM", ("aqlm", "accelerate")),
    "auto-round": Method("AutoRound", ("auto-round", "accelerate")),
    "awq": Method("AWQ", ("gptqmodel", "accelerate")),
    "bitnet": Method("BitNet", ("accelerate",)),
    "bitsandbytes": Method("bitsandbytes", ("bitsandbytes", "accelerate")),
    "compressed-tensors": Method("compressed-tensors", ("compressed-tensors", "accelerate")),
    "eetq": Method("EETQ", ("kernels", "accelerate"), cuda=True),
    "exl2": Method("EXL2"),
    "exl3": Method("EXL3"),
    "fbgemm_fp8": Method("FBGEMM fp8", ("fbgemm-gpu", "accelerate"), cuda=True),
    "fp8": Method("fp8", ("accelerate",)),
    "fp_quant": Method("FP-Quant", ("fp-quant", "accelerate"), cuda=True),
    "gptq": Method("GPTQ", ("gptqmodel", "optimum", "accelerate")),
    "higgs": Method("HIGGS", ("flute-kernel", "fast-hadamard-transform", "accelerate"), cuda=True),
    "hqq": Method("HQQ", ("hqq", "accelerate"), cuda=True),
    "mlx": Method("MLX"),
    "modelopt": Method("NVIDIA ModelOpt"),
    "mxfp4": Method("MXFP4", ("accelerate",)),
    "mxfp8": Method("MXFP8", ("accelerate",)),
    "nvfp4": Method("NVFP4"),
    "quanto": Method("quanto", ("optimum-quanto", "accelerate")),
    "quark": Method("Quark", ("amd-quark", "accelerate")),
    "spqr": Method("SpQR", ("spqr-quant", "accelerate"), cuda=True),
    "torchao": Method("torchao", ("torchao", "accelerate")),
    "vptq": Method("VPTQ", ("vptq", "accelerate"), cuda=True),
}


def quantization_of(folder: Path, config: dict[str, Any]) -> Method | None:
    """Return how the weights in ``folder`` are quantised; ``None`` for plain weights.

    Raises:
        WeightsError: a file is damaged.
    """
    nested = config.get("text_config")
    for owner in (config, nested if isinstance(nested, dict) else {}):
        for key in ("quantization_config", "compression_config", "quantization"):
            found = owner.get(key)
            if isinstance(found, dict) and found:
                return _method(found, key)
    for name, method in OWN_FILES.items():
        if (folder / name).is_file():
            read_json(folder / name)
            return METHODS[method]
    return None


def require_kernels(
    folder: Path, method: Method, *, installed: Callable[[str], bool], cuda: bool, served: str = "torch"
) -> None:
    """Refuse quantised weights that cannot be loaded here.

    Args:
        folder: the model's.
        method: how it is quantised.
        installed: whether a package of this name is installed.
        cuda: whether there is a CUDA GPU.
        served: the engine that is to load them.

    Raises:
        WeightsError: naming what to install, or which other checkpoint to take.
    """
    other = "take the checkpoint that was quantised, or a GGUF of it"
    if not method.packages:
        raise WeightsError(f"{folder} is quantised with {method.label}, which transformers does not load: {other}")
    missing = [package for package in method.packages if not installed(package)]
    if missing:
        needs = f"pip install {' '.join(method.packages)}{' on a machine with a CUDA GPU' if method.cuda else ''}"
        raise WeightsError(
            f"{folder} is quantised with {method.label}, whose kernels are not installed: {needs} (for the {served} "
            f"engine), or {other}"
        )
    if method.cuda and not cuda:
        raise WeightsError(f"{folder} is quantised with {method.label}, which needs a CUDA GPU: {other}")


def _method(found: dict[str, Any], key: str) -> Method:
    named = str(found.get("quant_method") or "").lower().replace("_4bit", "").replace("_8bit", "")
    if not named and (found.get("load_in_4bit") or found.get("load_in_8bit")):
        named = "bitsandbytes"
    if not named and key == "quantization":
        named = "mlx"
    if not named and key == "compression_config":
        named = "compressed-tensors"
    if named == "intel/auto-round":
        named = "auto-round"
    known = METHODS.get(named) or METHODS.get(named.replace("_", "-"))
    return known or Method(named or "an unnamed method")

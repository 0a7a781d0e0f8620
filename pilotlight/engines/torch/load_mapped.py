"""Loads a checkpoint's weights into a model, and refuses those that are not the model.

Where their names are the model's own, they are mapped without copying. ``from_pretrained`` can also rename, merge and
split, and prepares for that every time: it compiles a thousand patterns for other models. Most checkpoints need none of
it.

transformers fills a tensor that is missing with random numbers, drops one that it has no place for, and goes on. Its
report of both is compared here with what may be so (``HARMLESS``), and anything else ends the start.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pilotlight.engines.torch.lean_transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    get_model_class,
    no_init_weights,
    transformers_version,
)
from pilotlight.engines.torch.text_half import OTHER_TENSORS, is_text_half, other_half, text_config
from pilotlight.errors import WeightsError
from pilotlight.loading.files.checkpoint import Checkpoint, plain_names, read_checkpoint
from pilotlight.loading.files.checks.architecture import model_config, require_model_type
from pilotlight.loading.files.checks.consistency import require_consistent
from pilotlight.loading.files.checks.quantization import quantization_of, require_kernels
from pilotlight.loading.files.wording import some, tensors_of

__all__ = ["load_mapped", "load_model"]

log = logging.getLogger(__name__)

_LOCAL = {"local_files_only": True, "trust_remote_code": False}
# The logger to which transformers reports a load, and the lines of that report for tensors that it could not convert.
REPORTER = "transformers.modeling_utils"
UNCONVERTED = re.compile(r"^(\S.*?) +\| +(?:\x1b\[\d+m)?CONVERSION", re.MULTILINE)
# Tensors that a checkpoint may hold and the model need not have: buffers that older versions saved and every version
# computes anew, and the value head of a training by reinforcement.
HARMLESS = re.compile(
    r"(?:^|\.)(?:rotary_emb\.inv_freq|masked_bias|attn\.bias|attention\.bias|position_ids)$|^v_head\."
)


def load_model(
    folder: Path,
    dtype: torch.dtype,
    *,
    auto: Any = AutoModelForCausalLM,
    may_lack: str = "",
    may_hold: str = "",
    device: torch.device | None = None,
    **options: Any,
) -> Any:
    """Load the model in ``folder``, in evaluation mode, on the CPU; quantised weights on ``device``.

    Args:
        folder: a checked model folder.
        dtype: of the weights in memory.
        auto: the class with which transformers would load it.
        may_lack: a pattern of tensors that need not be in the files, as the pooler of an embedder.
        may_hold: a pattern of tensors that may be in the files without a place in the model.
        device: where quantised weights go.
        options: for the model class, as ``attn_implementation``.

    Raises:
        WeightsError: the weights are not those of the model, or nothing here can load them.
        OSError, ValueError, KeyError, RuntimeError: transformers cannot load it.
    """
    raw = model_config(folder)
    kind = _kind(folder, raw, auto)
    method = quantization_of(folder, raw)
    checkpoint = read_checkpoint(folder)
    require_consistent(folder, raw, checkpoint, quantized=method is not None)
    with _captured_report() as report:
        try:
            if method is not None:
                require_kernels(folder, method, installed=_installed, cuda=torch.cuda.is_available())
                place = {"": str(device or "cpu")}
                given: dict[str, Any] = {"use_safetensors": True, "device_map": place, **_LOCAL}
                model, found = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True, **given, **options)
            else:
                mapped = load_mapped(folder, dtype, auto=auto, checkpoint=checkpoint, **options)
                if mapped is not None:
                    return mapped
                config = AutoConfig.from_pretrained(folder, **_LOCAL)
                if is_text_half(kind, config):
                    may_hold = OTHER_TENSORS.pattern
                model, found = kind.from_pretrained(
                    None,
                    config=text_config(kind, config),
                    state_dict=_weights(checkpoint, dtype),
                    dtype=dtype,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # they are refused below, with the other differences
                    **options,
                )
                _take_generation_config(model, folder)
        except RuntimeError as error:
            if not report.unconverted:
                raise
            raise WeightsError(
                f"{folder} is not the {kind.__name__} that its config.json describes: what it holds for "
                f"{tensors_of(report.unconverted)} does not fit together, so some of it lacks: fetch it again"
            ) from error
    _require_same(folder, model, found, may_lack=may_lack, may_hold=may_hold)
    return model.eval()


def load_mapped(
    folder: Path,
    dtype: torch.dtype,
    *,
    auto: Any = AutoModelForCausalLM,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> Any | None:
    """Load the model in a folder on the CPU; ``None`` where only ``from_pretrained`` can.

    Weights that have the precision asked for stay mapped: the first use of a page reads it from the file.

    Args:
        folder: a checked model folder.
        dtype: of the weights in memory.
        auto: the class with which transformers would load it.
        checkpoint: the folder's, where it has been read.
        options: for the model class, as ``attn_implementation``.

    Raises:
        WeightsError: a file is missing or damaged.
        OSError, ValueError, KeyError: the configuration cannot be read, or is of another kind of model.
    """
    config = AutoConfig.from_pretrained(folder, **_LOCAL)
    kind: Any = auto._model_mapping.get(type(config), None)
    if kind is None or isinstance(kind, tuple) or quantization_of(folder, model_config(folder)) is not None:
        return None
    # In memory that stays untouched, not on the meta device: buffers that no file holds are computed as usual.
    with no_init_weights():
        model = kind._from_config(text_config(kind, config), dtype=dtype, **options)
    if any(model._get_dtype_plan(dtype)):
        return None  # parts of it need another precision
    weights = _weights(checkpoint or read_checkpoint(folder), dtype)
    own, tied = model.state_dict().keys(), set(model.all_tied_weights_keys)
    if weights.keys() - own or own - weights.keys() - tied:
        log.debug("%s: the names of its weights are not the model's; transformers converts them", folder)
        return None
    try:
        model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError:
        return None  # a shape differs
    # A head of its own in the file is the model's, whatever the flag says: only what is missing, or equal, is tied.
    model.tie_weights(missing_keys=set(own - weights.keys()), recompute_mapping=False)
    _take_generation_config(model, folder)
    return model.eval()


def _kind(folder: Path, raw: dict[str, Any], auto: Any) -> Any:
    """Return transformers' class for the model; no code of the folder is run.

    Raises:
        WeightsError: transformers has none.
    """
    require_model_type(folder, raw)
    family, version = raw["model_type"], transformers_version()
    if family not in CONFIG_MAPPING:
        if raw.get("auto_map"):
            code = ", ".join(path.name for path in sorted(folder.glob("*.py"))) or "named in auto_map"
            raise WeightsError(
                f"{folder} needs code that comes with it ({code}), which pilotlight never runs, and transformers "
                f"{version} has none of its own for model_type {family!r}: take a model of an architecture that it has"
            )
        raise WeightsError(
            f"{folder}: transformers {version} does not know model_type {family!r}: a newer version may, or "
            "config.json is of another library"
        )
    config = AutoConfig.from_pretrained(folder, **_LOCAL)
    if auto._model_mapping.get(type(config), None) is None:
        if auto is AutoModelForCausalLM and other_half(raw):
            raise WeightsError(
                f"{folder} is a {family} model, which also sees or hears, and transformers {version} has no model of "
                "its text half alone: take a text model of the same family"
            )
        what = "generates text" if auto is AutoModelForCausalLM else "does that"
        raise WeightsError(f"{folder}: transformers {version} has no {family} model that {what}")
    return get_model_class(config, auto._model_mapping)


def _weights(checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return all tensors by their plain names, the floating ones in the precision asked for."""
    plain = plain_names(checkpoint.tensors)
    tensors: dict[str, torch.Tensor] = {}
    for path in checkpoint.files:
        tensors.update({plain[name]: tensor for name, tensor in load_file(path).items()})
    return {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}


def _take_generation_config(model: Any, folder: Path) -> None:
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)


def _require_same(
    folder: Path, model: Any, found: Mapping[str, Collection[Any]], *, may_lack: str, may_hold: str
) -> None:
    """Refuse a checkpoint that differs from the model; ``found`` is transformers' report."""
    missing = sorted(name for name in found["missing_keys"] if not (may_lack and re.search(may_lack, name)))
    surplus = sorted(
        name
        for name in found["unexpected_keys"]
        if not HARMLESS.search(name) and not (may_hold and re.search(may_hold, name))
    )
    shapes = [
        f"{name} is {_size(in_file)} in the file and {_size(in_model)} in the model"
        for name, in_file, in_model in sorted(found["mismatched_keys"])
    ]
    parts = []
    if missing:
        parts.append(f"it lacks {tensors_of(missing)}")
    if surplus:
        parts.append(f"it holds {tensors_of(surplus)} that the model has no place for")
    if shapes:
        parts.append(f"{len(shapes)} of its tensors differ in shape ({some(shapes)})")
    if found["error_msgs"]:
        parts.append("; ".join(str(one) for one in found["error_msgs"]))
    if parts:
        raise WeightsError(
            f"{folder} is not the {type(model).__name__} that its config.json describes: {'; '.join(parts)}. Nothing "
            "is served from it: fetch it again, or take the config.json that belongs to the weights"
        )


def _size(shape: Collection[int]) -> str:
    return " x ".join(str(size) for size in shape) or "a number"


def _installed(package: str) -> bool:
    """Return whether a package is installed, by the name that pip knows it by."""
    modules = {
        "optimum-quanto": "optimum.quanto",
        "fbgemm-gpu": "fbgemm_gpu",
        "amd-quark": "quark",
        "flute-kernel": "flute",
    }
    try:
        return importlib.util.find_spec(modules.get(package, package.replace("-", "_"))) is not None
    except ModuleNotFoundError:  # of a package in a package that is not there
        return False


class _Report(logging.Filter):
    """Keeps transformers from printing its report of a load, and reads from it what it tells nowhere else.

    Attributes:
        unconverted: tensors of the model that could not be put together from those of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unconverted: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.unconverted += UNCONVERTED.findall(record.getMessage())
        return False


@contextmanager
def _captured_report() -> Generator[_Report]:
    report = _Report()
    logger = logging.getLogger(REPORTER)
    logger.addFilter(report)
    try:
        yield report
    finally:
        logger.removeFilter(report)

"""OpenVINO GenAI, imported without what serving has no use for, and how it shall compute an artifact."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError, WeightsError

__all__ = ["CacheShape", "Runtime", "properties", "read_cache_shape", "runtime"]

# The conversion tools: 0.2 s of imports, and a report to their maker's telemetry at each import of openvino.
NOT_WANTED = "openvino.tools.ovc"
# Exact where exactness was asked for; elsewhere what the runtime takes by itself, bfloat16 where the processor is fast
# at it. But for the cache of quantized weights: it would be quantized too, and then what else is in a batch changes the
# text (greedy output of eight requests together agreed with the same ones alone in 0.88 of the tokens; in all of them
# with this, for 0.7 times more memory and no less speed).
PROPERTIES: dict[str, dict[str, str]] = {
    "fp32": {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"},
    "fp16": {"KV_CACHE_PRECISION": "f16"},
    "bf16": {"KV_CACHE_PRECISION": "bf16"},
    "int8": {"KV_CACHE_PRECISION": "bf16"},
    "int4": {"KV_CACHE_PRECISION": "bf16"},
}
VALUE_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


@dataclass(frozen=True, slots=True)
class Runtime:
    """The modules."""

    openvino: Any
    numpy: Any

    @property
    def genai(self) -> Any:
        """The pipelines, imported when they are first asked for: what needs none of them is up before.

        Raises:
            ConfigError: not installed.
        """
        try:
            import openvino_genai
        except ImportError as error:
            raise _missing(error) from error
        return openvino_genai


def runtime() -> Runtime:
    """The runtime's modules; openvino and numpy are imported now if they were not before.

    Raises:
        ConfigError: they are not installed.
    """
    if NOT_WANTED not in sys.modules:
        # None makes that import fail, which openvino's own __init__ allows for.
        sys.modules[NOT_WANTED] = None  # type: ignore[assignment]  # so the import system wants it
    try:
        import numpy
        import openvino
    except ImportError as error:
        raise _missing(error) from error
    return Runtime(openvino, numpy)


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the openvino engine needs the packages openvino and openvino-genai ({error}): install those that "
        "requirements.txt pins, or set PILOTLIGHT_ENGINE=torch"
    )


def properties(precision: str) -> dict[str, str]:
    """How the CPU shall compute an artifact of this precision."""
    return dict(PROPERTIES[precision])


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a model keeps of each token.

    Attributes:
        heads: (heads, size of each) of every cached tensor: keys and values, layer by layer.
    """

    heads: tuple[tuple[int, int], ...]

    def token_bytes(self, precision: str) -> int:
        """Bytes of cache for one token."""
        cache = PROPERTIES[precision]["KV_CACHE_PRECISION"]
        return sum(heads * size for heads, size in self.heads) * VALUE_BYTES[cache]


def read_cache_shape(artifact: Path) -> CacheShape:
    """The cache's shape, from the state variables that the artifact's XML declares.

    Raises:
        WeightsError: there is no model, or it keeps no keys and values.
    """
    import re

    path = artifact / "openvino_model.xml"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; export the model again") from error
    # One Assign for each ReadValue, with the same shape: (batch, heads, tokens, size); only the former are counted.
    found = re.findall(r'type="ReadValue"[^>]*>\s*<data [^>]*variable_shape="\?,(\d+),\?,(\d+)"', text)
    if not found:
        raise WeightsError(f"{path} keeps no keys and values: it is not a language model that can be batched")
    return CacheShape(tuple((int(heads), int(size)) for heads, size in found))

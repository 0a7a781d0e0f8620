"""OpenVINO GenAI, imported without what serving has no use for, and how it shall compute an artifact."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError, WeightsError

__all__ = ["CacheShape", "Runtime", "read_cache_shape", "runtime"]

# The conversion tools: 0.2 s of imports, and a report to their maker's telemetry at each import of openvino.
NOT_WANTED = "openvino.tools.ovc"
VALUE_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


@dataclass(frozen=True, slots=True)
class Runtime:
    """The modules, and the processor.

    Attributes:
        core: what loads models.
        fast: the precision in which this processor is fastest: ``bf16``, ``f16`` or ``f32``.
    """

    openvino: Any
    numpy: Any
    core: Any
    fast: str

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

    def settings(self, precision: str) -> dict[str, str]:
        """How the processor shall compute an artifact of this precision.

        Exact where exactness was asked for, as fast as it can elsewhere, and always with a cache of the precision that
        it computes in: a mixture is what one stage refuses and another rounds otherwise. The runtime itself would
        quantize the cache of quantized weights, and then what else is in a batch changes the text (greedy output of
        eight requests together agreed with the same ones alone in 0.88 of the tokens; in all of them with this, for
        0.7 times more memory and no less speed).
        """
        computed = "f32" if precision == "fp32" else self.fast
        return {"INFERENCE_PRECISION_HINT": computed, "KV_CACHE_PRECISION": computed}


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
    core = openvino.Core()
    return Runtime(openvino, numpy, core, core.get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name())


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the openvino engine needs the packages openvino and openvino-genai ({error}): install those that "
        "requirements.txt pins, or set PILOTLIGHT_ENGINE=torch"
    )


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a model keeps of each token.

    Attributes:
        heads: (heads, size of each) of every cached tensor: keys and values, layer by layer.
    """

    heads: tuple[tuple[int, int], ...]

    def token_bytes(self, cache: str) -> int:
        """Bytes for one token, with a cache of this precision, in the runtime's words."""
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

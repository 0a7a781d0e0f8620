"""Imports OpenVINO GenAI without the parts that serving does not need, and holds its settings for an artifact."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError, WeightsError

__all__ = ["CacheShape", "Runtime", "read_cache_shape", "runtime"]

# The conversion tools: 0.2 s of imports, and a telemetry report at each import of openvino.
UNUSED_TOOLS = "openvino.tools.ovc"
VALUE_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


@dataclass(frozen=True, slots=True)
class Runtime:
    """The modules, and the processor's precision.

    Attributes:
        core: loads models.
        fast: the precision in which this processor is fastest: ``bf16``, ``f16`` or ``f32``.
        deterministic: whether a request's greedy text must not depend on which requests run beside it.
    """

    openvino: Any
    numpy: Any
    core: Any
    fast: str
    deterministic: bool = False

    @property
    def genai(self) -> Any:
        """The pipelines, imported at first use: the first stage is ready before.

        Raises:
            ConfigError: not installed.
        """
        try:
            import openvino_genai
        except ImportError as error:
            raise _missing(error) from error
        return openvino_genai

    def settings(self, precision: str) -> dict[str, str]:
        """Return the compile settings for an artifact of this precision.

        fp32 is computed in float32, everything else in the fastest precision, and always with a cache of the same
        precision: of a mixture, one stage refuses it and the other rounds differently. The runtime's default would
        quantize the cache of quantized weights, which changes texts more often than these settings do.

        In 16 bits, and where the runtime quantizes activations, sums depend on the number of rows in their last bit,
        so that the rest of a batch changes a greedy text now and then: 12 of 20 chats of SmolLM2 in int8 were the same
        together and alone. ``deterministic`` is float32 without quantized activations: 20 of 20.
        """
        if self.deterministic:
            return {**_settings("f32"), "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
        return _settings("f32" if precision == "fp32" else self.fast)


def runtime(*, deterministic: bool = False) -> Runtime:
    """Import openvino and numpy, and return the modules.

    Args:
        deterministic: as in ``Runtime``.

    Raises:
        ConfigError: they are not installed.
    """
    if UNUSED_TOOLS not in sys.modules:
        # None makes that import fail, which openvino's own __init__ handles.
        sys.modules[UNUSED_TOOLS] = None  # type: ignore[assignment]  # the import system's way to say it
    try:
        import numpy
        import openvino
    except ImportError as error:
        raise _missing(error) from error
    core = openvino.Core()
    fast = core.get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name()
    return Runtime(openvino, numpy, core, fast, deterministic)


def _settings(computed: str) -> dict[str, str]:
    return {"INFERENCE_PRECISION_HINT": computed, "KV_CACHE_PRECISION": computed}


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the openvino engine needs the packages openvino and openvino-genai ({error}): install those that "
        "requirements.txt pins, or set PILOTLIGHT_ENGINE=torch"
    )


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a model caches of each token.

    Attributes:
        heads: (heads, size of each) of every cached tensor: keys and values, layer by layer.
    """

    heads: tuple[tuple[int, int], ...]

    def token_bytes(self, cache: str) -> int:
        """Return the bytes of one token in a cache of this precision, as the runtime names it."""
        return sum(heads * size for heads, size in self.heads) * VALUE_BYTES[cache]


def read_cache_shape(artifact: Path) -> CacheShape:
    """Read the cache's shape from the state variables that the artifact's XML declares.

    Raises:
        WeightsError: there is no model, or it has no keys and values.
    """
    import re

    path = artifact / "openvino_model.xml"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; export the model again") from error
    # Each ReadValue has an Assign of the same shape (batch, heads, tokens, size); only the former are counted.
    found = re.findall(r'type="ReadValue"[^>]*>\s*<data [^>]*variable_shape="\?,(\d+),\?,(\d+)"', text)
    if not found:
        raise WeightsError(f"{path} keeps no keys and values: it is not a language model that can be batched")
    return CacheShape(tuple((int(heads), int(size)) for heads, size in found))

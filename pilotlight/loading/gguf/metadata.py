"""The metadata of a GGUF file, read with the prefix of its architecture and with errors that name the key."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Metadata:
    """The entries of ``where`` (a file, for messages) by key."""

    entries: Mapping[str, Any]
    where: str

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    def has(self, key: str) -> bool:
        """Whether there is an entry for ``key`` of the architecture."""
        return f"{self.architecture}.{key}" in self.entries

    def text(self, key: str) -> str:
        """Return the text of the whole key ``key``."""
        value = self.entries.get(key)
        if not isinstance(value, str):
            raise WeightsError(f"{self.where} does not say its {key}")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """Return the architecture's whole number; a list of equal numbers (one a layer) counts as one."""
        value = self._one(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise WeightsError(f"{self.where} has {self.architecture}.{key} = {value!r}: expected a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return the architecture's number."""
        value = self._one(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WeightsError(f"{self.where} has {self.architecture}.{key} = {value!r}: expected a number")
        return float(value)

    def _one(self, key: str, default: float | None) -> Any:
        value = self.entries.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise WeightsError(f"{self.where} does not say its {self.architecture}.{key}")
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise WeightsError(
                    f"{self.where} has a different {self.architecture}.{key} in each layer ({value[:8]}), which is not "
                    "supported"
                )
            return value[0]
        return value


def shortest(value: float) -> float:
    """Return the shortest decimal that is the same float32: 1e-05 for 9.999999747378752e-06, as models state it."""
    for digits in range(1, 10):
        text = float(f"{value:.{digits}g}")
        if struct.pack("f", text) == struct.pack("f", value):
            return text
    return value

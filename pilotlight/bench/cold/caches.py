"""Starts without the caches of compilers: each start gets empty folders in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pilotlight.errors import UsageError

__all__ = ["BYTECODE_VARIABLES", "COMPILE_VARIABLES", "Presence", "fresh_folders", "refuse_given"]

Presence = Literal["present", "absent"]
# Of torch.compile, Triton, PyTorch's own C++ extensions, the CUDA driver's compiler and Numba. An engine whose cache
# has no variable (OpenVINO's CACHE_DIR is a property that the program sets) keeps what it has.
COMPILE_VARIABLES = (
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "TORCH_EXTENSIONS_DIR",
    "CUDA_CACHE_PATH",
    "NUMBA_CACHE_DIR",
)
# Python then finds no .pyc, neither a package's nor the standard library's, and writes its own there, as it does in
# an image that was built without them.
BYTECODE_VARIABLES = ("PYTHONPYCACHEPREFIX",)


def fresh_folders(names: Iterable[str], folder: Path) -> dict[str, str]:
    """An empty folder in ``folder`` for each variable; the variables with their values."""
    variables = {}
    for name in names:
        fresh = folder / name.lower()
        fresh.mkdir(parents=True)
        variables[name] = str(fresh)
    return variables


def refuse_given(names: Iterable[str], given: Mapping[str, str], option: str) -> None:
    """Refuse a variable given by the user that each start replaces.

    Raises:
        UsageError: it was given.
    """
    for name in names:
        if name in given:
            raise UsageError(f"-e {name}={given[name]}: {option} gives every start its own; leave out one of the two")

"""Start without compiler caches: each start gets empty folders instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pilotlight.errors import UsageError

__all__ = ["BYTECODE_VARIABLES", "COMPILE_VARIABLES", "Presence", "fresh_folders", "refuse_given"]

Presence = Literal["present", "absent"]
# The caches of torch.compile, Triton, PyTorch's C++ extensions, the CUDA driver's compiler and Numba. The cache of an
# engine without such a variable (OpenVINO's CACHE_DIR is a property that the program sets) stays in place.
COMPILE_VARIABLES = (
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "TORCH_EXTENSIONS_DIR",
    "CUDA_CACHE_PATH",
    "NUMBA_CACHE_DIR",
)
# Python then finds no .pyc of a package or of the standard library, and writes its own there, as in an image that was
# built without them.
BYTECODE_VARIABLES = ("PYTHONPYCACHEPREFIX",)


def fresh_folders(names: Iterable[str], folder: Path) -> dict[str, str]:
    """Create an empty folder in ``folder`` for each variable; return the variables with their values."""
    variables = {}
    for name in names:
        fresh = folder / name.lower()
        fresh.mkdir(parents=True)
        variables[name] = str(fresh)
    return variables


def refuse_given(names: Iterable[str], given: Mapping[str, str], option: str) -> None:
    """Refuse a variable that the user gives and that each start replaces.

    Raises:
        UsageError: such a variable was given.
    """
    for name in names:
        if name in given:
            raise UsageError(f"-e {name}={given[name]}: {option} sets it for every start; leave out one of the two")

"""Caches the index of names that transformers builds from its own source at every import.

``import transformers`` reads 3,300 source files to find out which module has which class: half a second of processor
time, and 3,300 small files on a cold disk. The result depends only on the installed version, so the first import writes
it beside the bytecode, in ``transformers/models/__pycache__``; ``cog.yaml`` does that when the image is built. Where it
cannot be written, the source is read each time.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from pilotlight.util.files import write_atomically

__all__ = ["after_import", "cache_index"]

Patch = Callable[[ModuleType], None]


def after_import(name: str, patch: Patch) -> None:
    """Call ``patch`` with a module as soon as its body has run, before the import returns.

    Does nothing where the module is imported already.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, patch))


def cache_index(import_utils: ModuleType) -> None:
    """Make ``transformers.utils.import_utils`` read its index from a file, or write it there."""
    read_source: Callable[[Any], Any] = import_utils.create_import_structure_from_path
    models = Path(str(import_utils.__file__)).parent.parent / "models"
    cache = models / "__pycache__" / f"names-{version('transformers')}.marshal"

    def create_import_structure_from_path(module_path: Any) -> Any:
        path = Path(module_path)
        if (path.parent if path.name == "__init__.py" else path) != models:
            return read_source(module_path)
        with suppress(OSError, ValueError, EOFError, TypeError):
            return marshal.loads(cache.read_bytes())  # noqa: S302 - as trustworthy as the bytecode beside it
        index = read_source(module_path)
        with suppress(OSError):
            cache.parent.mkdir(exist_ok=True)
            write_atomically(cache, marshal.dumps(index))
        return index

    import_utils.create_import_structure_from_path = create_import_structure_from_path  # type: ignore[attr-defined]


class _Finder(MetaPathFinder):
    """Finds one module, once, as the import system does, and patches its loader."""

    def __init__(self, name: str, patch: Patch) -> None:
        self._name = name
        self._patch = patch

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, self._patch)
        return spec


class _PatchingLoader(Loader):
    """Loads a module with another loader, then patches it."""

    def __init__(self, loader: Loader, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)

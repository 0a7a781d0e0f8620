"""Who may import whom: every module's imports, read from its source, lazy ones inside functions included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pilotlight"

# A part imports parts of the groups before its own, never a sibling in its group but for the exceptions.
GROUPS = (
    ("errors", "stamps", "types"),
    ("config", "traffic", "sse", "prices", "signing"),
    ("engines", "loading", "monitor"),
    ("runtime", "client", "adapters"),
    ("gateway", "bench", "deploy"),
    ("cli",),
    ("__main__",),
)
EXCEPTIONS = {("engines", "loading"), ("client", "runtime"), ("adapters", "runtime")}
RANK = {part: rank for rank, group in enumerate(GROUPS) for part in group}

# Where heavy packages may be imported, as patterns of paths below pilotlight/.
TORCH = ("engines/torch*.py", "loading/*.py")
OPENVINO = ("engines/openvino*.py", "loading/*.py")
ONNX = ("engines/onnx*.py", "loading/*.py")
CONFINED = {
    "torch": TORCH,
    "transformers": ("engines/torch_transformers.py", "loading/*.py"),
    "safetensors.torch": TORCH,
    "openvino": OPENVINO,
    "openvino_genai": OPENVINO,
    "openvino_tokenizers": OPENVINO,
    "onnxruntime": ONNX,
    "onnxruntime_genai": ONNX,
}
HEAVY = ("torch", "transformers", "numpy", "starlette", "fastapi", "httpx2", "pydantic", "yaml", "click", "rich", "cog")

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Every module that ``source`` names in an import, absolute; for ``from a import b`` that is ``a.b``."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def problems(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the module at ``path`` below pilotlight/; empty when all are allowed."""
    *folders, file = path.split("/")
    stem = file.removesuffix(".py")
    is_package = stem == "__init__"
    module = ".".join(["pilotlight", *folders, *([] if is_package else [stem])])
    part = (folders[0] if folders else stem) if module != "pilotlight" else ""
    if part and part not in RANK:
        return [f"{path}: {part} is in no group: give it one here and in the design"]
    found = []
    for target in imports(source, module, is_package=is_package):
        names = target.split(".")
        if names[0] == "pilotlight":
            if not part_may_import(part, names[1] if len(names) > 1 else ""):
                found.append(f"{path} imports {target}")
            continue
        for heavy, places in CONFINED.items():
            if f"{target}.".startswith(f"{heavy}.") and not any(fnmatch(path, place) for place in places):
                found.append(f"{path} imports {target}, allowed only in {' and '.join(places)}")
    return found


def part_may_import(part: str, target: str) -> bool:
    if not part:  # pilotlight/__init__.py
        return RANK.get(target) == 0 or target == "client"  # the client when it is asked for, not before
    if target not in RANK:  # a name of pilotlight/__init__.py, which holds the version and the errors only
        return not (PACKAGE / target).exists()
    return part == target or RANK[target] < RANK[part] or (part, target) in EXCEPTIONS


@pytest.mark.parametrize("path", MODULES)
def test_module_imports_only_what_its_group_may(path: str) -> None:
    assert problems(path, (PACKAGE / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("types.py", "from pilotlight.errors import UsageError"),
        ("config.py", "import pilotlight.engines"),
        ("config.py", "from pilotlight import sse"),
        ("loading/fetch.py", "from pilotlight.engines.base import Engine"),
        ("loading/fetch.py", "from ..engines import base"),
        ("runtime/worker.py", "from pilotlight import client"),
        ("runtime/worker.py", "def late():\n    from pilotlight.gateway import app"),
        ("engines/base.py", "def late():\n    import torch.nn"),
        ("engines/base.py", "import importlib\ntorch = importlib.import_module('torch')"),
        ("engines/openvino.py", "import transformers"),
        ("engines/torch_engine.py", "import onnxruntime_genai"),
        ("engines/torch_engine.py", "import transformers"),
        ("runtime/worker.py", "from safetensors.torch import load_file"),
        ("__init__.py", "from pilotlight.config import Config"),
        ("misc.py", ""),
    ],
)
def test_forbidden_import_is_seen(path: str, source: str) -> None:
    assert len(problems(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engines/torch_engine.py", "import torch\nfrom pilotlight.loading import locate"),
        ("loading/load.py", "def late():\n    import torch, transformers"),
        ("engines/base.py", "from pilotlight import __version__\nfrom . import text\nfrom .text import f"),
        ("engines/__init__.py", "from .base import Engine"),
        ("gateway/app.py", "from pilotlight.runtime import Worker"),
        ("cli/__init__.py", "from pilotlight.bench import load"),
        ("types.py", "import torchlike"),
    ],
)
def test_allowed_import_is_not_reported(path: str, source: str) -> None:
    assert problems(path, source) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, pilotlight; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""

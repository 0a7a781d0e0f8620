"""Who may import whom: every module's imports, read from its source, lazy ones inside functions included.

Three rules. A room of the first level imports only rooms below its own (``ROOMS``). Inside the package neither
modules nor folders import each other in a circle, so that every folder stands on a floor of its own. Heavy packages are
imported only where ``CONFINED`` says.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "pilotlight"

# The rooms of each floor, from the ground up. A room imports rooms of the floors below its own, never a neighbour on
# its floor but for the exceptions.
ROOMS = (
    ("errors", "tracing", "types"),
    ("config", "prices", "sse"),
    ("util",),
    ("traffic",),
    ("loading", "monitor"),
    ("engines",),
    ("runtime",),
    ("client", "adapters"),
    ("gateway", "bench", "doctor", "batch", "deploy"),
    ("cli",),
    ("__main__",),
)
EXCEPTIONS = {("doctor", "bench")}  # doctor runs projects with the harness of the benches
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

# Where heavy packages may be imported, as patterns of paths below pilotlight/.
TORCH = ("engines/torch/*.py", "loading/*.py")
OPENVINO = ("engines/openvino/*.py", "loading/*.py")
ONNX = ("engines/onnx/*.py", "loading/*.py")
CONFINED = {
    "torch": TORCH,
    "transformers": ("engines/torch/lean_transformers.py", "loading/*.py"),
    "safetensors.torch": TORCH,
    "openvino": OPENVINO,
    "openvino_genai": OPENVINO,
    "openvino_tokenizers": OPENVINO,
    "onnxruntime": ONNX,
    "onnxruntime_genai": ONNX,
    "jinja2": ("engines/text/tokens/chat_language.py", "gateway/ui/render.py"),
    "prometheus_client": ("gateway/scheduler/metrics.py",),
}
HEAVY = (
    *("torch", "transformers", "numpy", "starlette", "fastapi", "httpx2"),
    *("prometheus_client", "pydantic", "yaml", "click", "rich", "cog"),
)

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
    if part and part not in FLOOR:
        return [f"{path}: {part} is on no floor: give it one here and in docs/architecture.md"]
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
        return FLOOR.get(target) == 0 or target == "client"  # the client when it is asked for, not before
    if target not in FLOOR:  # a name of pilotlight/__init__.py, which holds the version and the errors only
        return not (PACKAGE / target).exists()
    return part == target or FLOOR[target] < FLOOR[part] or (part, target) in EXCEPTIONS


def module_name(path: str) -> str:
    """``gateway/app.py`` as ``pilotlight.gateway.app``."""
    return ".".join(["pilotlight", *path.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]).strip(".")


def module_imports() -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    modules = {module_name(path): path for path in MODULES}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        targets = found.setdefault(module, set())
        is_package = path.endswith("__init__.py")
        for named in imports((PACKAGE / path).read_text(), module, is_package=is_package):
            target = named
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target not in (module, "pilotlight"):
                targets.add(target)
    return found


def folder_imports(between: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The same between the folders of a room and the modules beside them, each of which is a node of its own."""

    def node(module: str) -> str:
        names = module.split(".")
        return ".".join(names[:3]) if len(names) > 3 else module

    found: dict[str, set[str]] = {}
    for module, targets in between.items():
        inside = (node(target) for target in targets if target.split(".")[1:2] == module.split(".")[1:2])
        found.setdefault(node(module), set()).update(other for other in inside if other != node(module))
    return found


def circles(between: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Nodes that reach each other: what remains when nodes that only import, or are only imported, are taken away."""
    left = {node: set(targets) for node, targets in between.items()}
    for targets in list(left.values()):
        for target in targets:
            left.setdefault(target, set())
    while True:
        imported = set().union(*left.values())
        ends = {node for node, targets in left.items() if not targets or node not in imported}
        if not ends:
            return [set(left)] if left else []
        left = {node: targets - ends for node, targets in left.items() if node not in ends}


@pytest.mark.parametrize("path", MODULES)
def test_module_imports_only_what_its_group_may(path: str) -> None:
    assert problems(path, (PACKAGE / path).read_text()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(module_imports()) == []


def test_no_folders_of_a_room_import_each_other_in_a_circle() -> None:
    assert circles(folder_imports(module_imports())) == []


def test_a_circle_is_seen() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["b", "d"]}) == [{"b", "c"}]
    assert circles({"a": ["b"], "b": ["c"]}) == []
    between = {
        "pilotlight.gateway.api.a": ["pilotlight.gateway.ui.b"],
        "pilotlight.gateway.ui.c": ["pilotlight.gateway.api.d", "pilotlight.errors"],
    }
    assert circles(folder_imports(between)) == [{"pilotlight.gateway.api", "pilotlight.gateway.ui"}]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("types.py", "from pilotlight.errors import UsageError"),
        ("config.py", "import pilotlight.engines"),
        ("config.py", "from pilotlight import sse"),
        ("bench/merging.py", "from pilotlight.doctor import examine"),
        ("engines/torch/load.py", "from pilotlight.runtime import Worker"),
        ("loading/fetch/model.py", "from pilotlight.engines.text.types import Engine"),
        ("loading/locate.py", "from ..engines import base"),
        ("runtime/worker.py", "from pilotlight import client"),
        ("runtime/worker.py", "def late():\n    from pilotlight.gateway import app"),
        ("engines/text/types.py", "def late():\n    import torch.nn"),
        ("engines/text/types.py", "import importlib\ntorch = importlib.import_module('torch')"),
        ("engines/openvino/engine.py", "import transformers"),
        ("engines/torch/engine.py", "import onnxruntime_genai"),
        ("engines/torch/engine.py", "import transformers"),
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
        ("engines/torch/engine.py", "import torch\nfrom pilotlight.loading import locate"),
        ("loading/load.py", "def late():\n    import torch, transformers"),
        (
            "engines/text/types.py",
            "from pilotlight import __version__\nfrom . import detokenize\nfrom .detokenize import f",
        ),
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

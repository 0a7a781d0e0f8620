"""Every package that a module imports is declared in pyproject.toml, for the extra that needs the module.

What ``pilotlight export`` imports in an environment of its own is declared in the list of that environment.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch

import pytest

from tests.paths import ROOT
from tests.test_layering import MODULES, PACKAGE, imports, module_name

# The extras that bring what a module imports beyond the package's own dependencies: each of them has to. Patterns of
# paths below pilotlight/, of which the first that fits counts; a module that fits none gets along without extras.
EXTRAS = (
    ("engines/text/*", ("torch", "openvino", "onnx")),
    ("engines/memory/*", ("torch", "openvino", "onnx")),
    ("engines/torch/*", ("torch",)),
    ("engines/openvino/*", ("openvino",)),
    ("engines/onnx/*", ("onnx",)),
    ("loading/export/graph/*", ("openvino",)),
    ("loading/gguf/*", ("torch", "openvino")),
    ("loading/export/convert_openvino.py", ("export openvino",)),
    ("loading/export/convert_encoder.py", ("export openvino",)),
    ("loading/export/convert_onnx.py", ("export onnx",)),
    ("runtime/schema/probe/*", ("cog",)),
    ("runtime/http/listening.py", ("gateway",)),
    ("adapters/clouds/runpod.py", ("runpod",)),
    ("adapters/ray/*", ("ray",)),
    ("adapters/*", ("gateway",)),
    ("client/targets/sagemaker.py", ("sagemaker",)),
    ("client/webhooks/route.py", ("gateway",)),
    ("gateway/*", ("gateway",)),
    ("bench/report/charts/*", ("report",)),
)
# Import names that are not the name of their distribution, or are part of another one.
DISTRIBUTIONS = {"yaml": "pyyaml", "markupsafe": "jinja2", "pydantic_core": "pydantic", "botocore": "boto3"}
# Folders of scripts that run in another interpreter, where they find their neighbors by their bare names.
SCRIPTS = ("runtime/schema/probe", "loading/export", "doctor/observe/hook")


def normal(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, set[str]]:
    """The distributions of the package itself, by ``""``, and of each extra and each environment of the export."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists: dict[str, list[str]] = {"": project["dependencies"], **project["optional-dependencies"]}
    # Torch, transformers and the back end itself come from the environment that runs the export.
    for back_end in ("openvino", "onnx"):
        lines = (PACKAGE / "loading" / "export" / f"{back_end}.txt").read_text(encoding="utf-8").splitlines()
        own = [line for line in lines if line and not line.startswith("#")]
        lists[f"export {back_end}"] = [*own, *lists[back_end], *lists["torch"]]
    return {extra: {normal(re.split(r"[\[=><~!; ]", line)[0]) for line in lines} for extra, lines in lists.items()}


def undeclared(path: str, source: str, lists: Mapping[str, set[str]]) -> list[str]:
    """What is imported at ``path`` below pilotlight/ and declared nowhere that it would be installed from."""
    folder = path.rpartition("/")[0]
    extras = next((extras for pattern, extras in EXTRAS if fnmatch(path, pattern)), ())
    found = []
    for target in imports(source, module_name(path), is_package=path.endswith("__init__.py")):
        name = target.split(".")[0]
        if (
            name == "pilotlight"
            or name in sys.stdlib_module_names
            or (folder in SCRIPTS and f"{folder}/{name}.py" in MODULES)
        ):
            continue
        distribution = DISTRIBUTIONS.get(name, normal(name))
        if distribution in lists[""]:
            continue
        missing = [extra for extra in extras if distribution not in lists[extra]]
        if missing or not extras:
            where = " and ".join(f"the extra {extra}" for extra in missing) or "the dependencies"
            found.append(f"{path} imports {name}: add {distribution} to {where}")
    return found


@pytest.mark.parametrize("path", MODULES)
def test_every_import_is_declared(path: str) -> None:
    assert undeclared(path, (PACKAGE / path).read_text(), declared()) == []


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("runtime/worker.py", "import psutil", "add psutil to the dependencies"),
        ("engines/text/types.py", "def late():\n    from yaml import load", None),
        ("engines/text/types.py", "import torch", "add torch to the extra openvino and the extra onnx"),
        ("gateway/app.py", "import importlib\nimportlib.import_module('ray')", "add ray to the extra gateway"),
        ("gateway/app.py", "import starlette.routing, os, pilotlight.errors", None),
        ("client/core.py", "import starlette", "add starlette to the dependencies"),
        ("loading/export/convert_openvino.py", "import optimum.intel", None),
    ],
)
def test_what_is_declared_and_what_is_not(path: str, source: str, problem: str | None) -> None:
    found = undeclared(path, source, declared())
    assert (found == []) if problem is None else (len(found) == 1 and found[0].endswith(problem))

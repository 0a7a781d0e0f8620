from __future__ import annotations

import marshal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import transformers
import yaml
from transformers.utils import import_utils

from pilotlight.engines.torch.index_cache import after_import, cache_index
from tests.paths import ROOT

INDEX = {frozenset({"torch"}): {"llama.modeling_llama": {"LlamaModel"}}, frozenset(): {"llama": set()}}
SHOW = """
import pilotlight.engines.torch.lean_transformers
from pathlib import Path
from transformers.utils.import_utils import create_import_structure_from_path
import transformers
def plain(one):
    if isinstance(one, dict):
        return sorted((str(sorted(k)) if isinstance(k, frozenset) else k, plain(v)) for k, v in one.items())
    return sorted(one)
models = Path(transformers.__file__).parent / "models"
print(plain(create_import_structure_from_path(models)))
print(len(transformers.__all__), transformers.BertModel.__name__)
"""


class Source:
    """What transformers has: reads the source of a folder, and counts how often."""

    def __init__(self, root: Path) -> None:
        self.module = ModuleType("transformers.utils.import_utils")
        self.module.__file__ = str(root / "utils" / "import_utils.py")
        self.module.create_import_structure_from_path = self.read
        self.models = root / "models"
        self.models.mkdir(parents=True)
        self.kept = self.models / "__pycache__" / f"names-{version('transformers')}.marshal"
        self.reads: list[Path] = []
        cache_index(self.module)

    def read(self, path: object) -> object:
        self.reads.append(Path(str(path)))
        return INDEX

    def ask(self, path: Path) -> object:
        return self.module.create_import_structure_from_path(path)


def test_the_source_is_read_once(tmp_path: Path) -> None:
    source = Source(tmp_path)
    asked = [source.ask(source.models), source.ask(source.models / "__init__.py"), source.ask(source.models)]
    assert asked == [INDEX] * 3
    assert source.reads == [source.models]
    assert [path.name for path in source.kept.parent.iterdir()] == [source.kept.name]


def test_folders_of_single_models_are_read_as_ever(tmp_path: Path) -> None:
    source = Source(tmp_path)
    path = source.models / "llama" / "__init__.py"
    assert source.ask(path) == source.ask(path) == INDEX
    assert source.reads == [path, path]


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.kept.parent.mkdir()
    source.kept.write_bytes(b"\xff\x00")
    assert source.ask(source.models) == source.ask(source.models) == INDEX
    assert len(source.reads) == 1


def test_where_nothing_can_be_written_the_source_is_read_each_time(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.kept.parent.write_text("a file in the way")
    assert source.ask(source.models) == source.ask(source.models) == INDEX
    assert len(source.reads) == 2


def test_the_real_index_is_what_the_source_says() -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-c", SHOW],
            capture_output=True,
            text=True,
            timeout=300,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PILOTLIGHT_FULL_IMPORTS": full},
            check=True,
        ).stdout
        for full in ("0", "1")
    ]
    assert shown[0] == shown[1]
    assert "modeling_llama" in shown[0]


def test_the_image_is_built_with_the_same_index(tmp_path: Path) -> None:
    """Runs the command of cog.yaml on a copy of transformers that is all links but for the folder it writes to."""
    (command,) = [
        line
        for line in yaml.safe_load((ROOT / "cog.yaml").read_text())["build"]["run"]
        if "create_import_structure" in line
    ]
    installed = Path(transformers.__file__).parent
    copy = tmp_path / "transformers"
    (copy / "models").mkdir(parents=True)
    for folder in (Path(), Path("models")):
        for path in (installed / folder).iterdir():
            if path.name not in ("models", "__pycache__"):
                (copy / folder / path.name).symlink_to(path)
    (copy / "models" / "__pycache__").mkdir()
    info = next(installed.parent.glob("transformers-*.dist-info"))
    (tmp_path / info.name).symlink_to(info)
    bin_folder = str(Path(sys.executable).parent)
    subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": f"{bin_folder}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": "/nonexistent"},
        timeout=300,
        check=True,
    )
    (written,) = (copy / "models" / "__pycache__").iterdir()
    assert written.name == f"names-{version('transformers')}.marshal"
    expected = import_utils.create_import_structure_from_path(installed / "models")
    assert marshal.loads(written.read_bytes()) == expected


def test_after_import_is_after_the_body_and_before_everyone_else(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "patched_by_a_test.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = len(sys.meta_path)
    after_import("patched_by_a_test", lambda module: setattr(module, "value", module.value + 1))
    from patched_by_a_test import value

    assert value == 2
    assert len(sys.meta_path) == finders
    after_import("patched_by_a_test", lambda module: None)
    assert len(sys.meta_path) == finders
    del sys.modules["patched_by_a_test"]

"""The package finds its own data files from any folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).parent.parent

# The finder that setuptools adds for an editable installation comes after the path, where the clone's folder is found
# first: as a namespace package without any file of the package.
SCRIPT = """
import importlib.util, sys
from pathlib import Path

class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = Path({clone!r}, *name.split("."))
        if name.partition(".")[0] != "pilotlight":
            return None
        file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        return importlib.util.spec_from_file_location(name, file) if file.is_file() else None

sys.meta_path.append(Editable)
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path({clone!r})]
import pilotlight
assert pilotlight.__file__ is None, "the folder beside the script should be a namespace package"
from pilotlight.prices import load_prices
print(len(load_prices().tariffs) > 0)
"""


def test_a_script_beside_the_clone_finds_the_data_files(tmp_path: Path) -> None:
    (tmp_path / "pilotlight").symlink_to(CLONE)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(clone=str(CLONE)))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["True"], "")


def test_a_script_beside_the_clone_finds_the_package(tmp_path: Path) -> None:
    (tmp_path / "pilotlight").symlink_to(CLONE)
    code = "import pilotlight; print(pilotlight.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (Path(done.stdout.strip()), done.stderr) == (CLONE / "pilotlight" / "__init__.py", "")


def test_no_module_looks_for_data_files_by_the_name_of_the_package() -> None:
    modules = sorted((CLONE / "pilotlight").rglob("*.py"))
    assert modules
    names = ("importlib.resources", "PackageLoader", "pkgutil.get_data")
    assert [str(file) for file in modules for name in names if name in file.read_text(encoding="utf-8")] == []

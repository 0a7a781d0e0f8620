"""A GGUF file named where a model is: converted once into the cache, found again, and never mistaken for another."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pilotlight.errors import ConfigError, UsageError, WeightsError
from pilotlight.loading.files.loadable import check_loadable
from pilotlight.loading.files.manifest import read_manifest, sha256_of
from pilotlight.loading.files.verify import verify_folder
from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.gguf.first_use import converted_folder
from pilotlight.loading.locate import find_model
from tests.loading.gguf.files import tiny_gguf
from tests.loading.recorder import Recorder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PILOTLIGHT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}


def conversions(caplog: pytest.LogCaptureFixture) -> int:
    return sum("converting it to a model folder, once" in record.message for record in caplog.records)


def test_converted_once(tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tiny_gguf(tmp_path / "a.gguf")
    folder = converted_folder(file, environ=environ)
    check_loadable(folder)
    assert converted_folder(file, environ=environ) == folder
    os.utime(file, (1, 1))  # copied anew: the same bytes
    assert converted_folder(file, environ=environ) == folder
    assert conversions(caplog) == 1
    assert all(report.ok for report in verify_folder(folder))
    assert sha256_of(file) in read_manifest(folder).source


def test_another_file_of_the_same_name_is_another_model(tmp_path: Path, environ: dict[str, str]) -> None:
    before = converted_folder(tiny_gguf(tmp_path / "a.gguf"), environ=environ)
    after = converted_folder(tiny_gguf(tmp_path / "a.gguf", seed=1), environ=environ)
    assert before != after
    weights = "model.safetensors"
    assert (before / weights).read_bytes() != (after / weights).read_bytes()


def test_two_at_once_convert_once(tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tiny_gguf(tmp_path / "a.gguf")
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: converted_folder(file, environ=environ), range(2)))
    assert folders[0] == folders[1]
    assert conversions(caplog) == 1
    assert [path.name for path in folders[0].parent.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path, environ: dict[str, str]) -> None:
    file = tiny_gguf(tmp_path / "a.gguf")
    folder = converted_folder(file, environ=environ)
    left = folder.with_name(f".{folder.name}.1234.new")
    folder.rename(left)
    assert converted_folder(file, environ=environ) == folder
    assert not left.exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WeightsError, match=r"Set PILOTLIGHT_CACHE to a folder that can be written, or convert it"):
        converted_folder(tiny_gguf(tmp_path / "a.gguf"), environ=environ)


def test_find_model(tmp_path: Path, environ: dict[str, str]) -> None:
    weights = tmp_path / "weights"
    (weights / "tiny").mkdir(parents=True)
    file = tiny_gguf(weights / "tiny/a.gguf")
    folder = find_model(str(file), environ=environ)
    assert folder.is_relative_to(tmp_path / "cache")
    assert find_model("tiny", weights_dir=weights, environ=environ) == folder
    shutil.copy(file, weights / "b.gguf")
    assert find_model("b.gguf", weights_dir=weights, environ=environ).name.startswith("b-")
    shutil.copy(file, weights / "tiny/b.gguf")
    with pytest.raises(ConfigError, match=r"tiny has 2 GGUF files \(a\.gguf, b\.gguf\): name one of them, such as"):
        find_model("tiny", weights_dir=weights, environ=environ)
    with pytest.raises(ConfigError, match=r"'c\.gguf' is no model: it is not a folder or a GGUF file"):
        find_model("c.gguf", weights_dir=weights, environ=environ)
    convert_gguf(file, tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", weights / "tiny", dirs_exist_ok=True)
    assert find_model("tiny", weights_dir=weights, environ=environ) == weights / "tiny"


def test_an_engine_is_told_what_to_do_with_a_folder_of_gguf(tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "a.gguf")
    with pytest.raises(
        WeightsError, match=r"has its weights as GGUF \(a\.gguf\): .* pilotlight weights convert .*a\.gguf"
    ):
        check_loadable(tmp_path)


class Interrupts(Recorder):
    """Acts like a user who presses Ctrl-C when half of the file is done."""

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        if total_bytes and done_bytes > total_bytes // 2:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "a.gguf")
    with pytest.raises(KeyboardInterrupt):
        convert_gguf(file, tmp_path / "out", watcher=Interrupts())
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_progress_and_a_target_that_is_there(tmp_path: Path) -> None:
    watcher = Recorder()
    file = tiny_gguf(tmp_path / "a.gguf", kind="Q8_0")
    convert_gguf(file, tmp_path / "out", watcher=watcher)
    assert watcher.done == watcher.sizes
    with pytest.raises(UsageError, match="is there already: give another folder"):
        convert_gguf(file, tmp_path / "out")
    with pytest.raises(UsageError, match="expected auto or one of float32, float16, bfloat16"):
        convert_gguf(file, tmp_path / "other", dtype="int8")


def test_needs_neither_torch_nor_transformers(tmp_path: Path, environ: dict[str, str]) -> None:
    file = tiny_gguf(tmp_path / "a.gguf")
    lean = (
        "import os, sys\n"
        "for name in ('torch', 'transformers', 'safetensors', 'accelerate'): sys.modules[name] = None\n"
        "from pilotlight.loading import find_model\n"
        f"print(find_model({str(file)!r}, environ=os.environ))\n"
        "print('numpy' in sys.modules)\n"
    )

    def run() -> list[str]:
        command = [sys.executable, "-c", lean]
        done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=True)
        return done.stdout.split()

    first, later = run(), run()
    assert first[0] == later[0]
    assert (first[1], later[1]) == ("True", "False")  # what is converted is found without numpy

"""A model in several GGUF files is the model in one; parts that are missing or mixed up are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pilotlight.errors import WeightsError
from pilotlight.loading.files.gguf_names import find_gguf, gguf_models, parts_of
from pilotlight.loading.gguf.convert import convert_gguf
from tests.loading.gguf.files import tiny_gguf

PARTS = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    tiny_gguf(tmp_path / "m.gguf", split_max_tensors=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == PARTS
    return tmp_path


@pytest.mark.parametrize("number", [0, 2])
def test_is_read_whole(number: int, parts: Path) -> None:
    convert_gguf(parts / PARTS[number], parts / "split", dtype="float32")
    convert_gguf(tiny_gguf(parts / "whole.gguf"), parts / "whole", dtype="float32")
    for name in ("config.json", "tokenizer.json"):
        assert (parts / "split" / name).read_bytes() == (parts / "whole" / name).read_bytes()
    assert (parts / "split/model.safetensors").read_bytes() == (parts / "whole/model.safetensors").read_bytes()


def test_is_one_model_in_a_folder(parts: Path) -> None:
    assert find_gguf(parts) == parts / PARTS[0]
    assert gguf_models([*PARTS, "mmproj-m-f16.gguf", "README.md", "b.GGUF"]) == ["b.GGUF", PARTS[0]]
    assert parts_of("a.gguf") == ("a.gguf",)


def test_a_part_that_is_missing(parts: Path) -> None:
    (parts / PARTS[1]).unlink()
    with pytest.raises(
        WeightsError, match=r"one of 3 parts, and 1 of them are not beside it \(m-00002-of-00003\.gguf\)"
    ):
        convert_gguf(parts / PARTS[0], parts / "out")


def test_parts_that_are_mixed_up(parts: Path) -> None:
    shutil.copy(parts / PARTS[2], parts / PARTS[1])
    with pytest.raises(WeightsError, match="says that it is part 2, not 1"):
        convert_gguf(parts / PARTS[0], parts / "out")


def test_a_part_under_another_name(parts: Path) -> None:
    (parts / PARTS[0]).rename(parts / "a.gguf")
    with pytest.raises(WeightsError, match=r"a part of a model in 3 files, and its name is not of the form"):
        convert_gguf(parts / "a.gguf", parts / "out")

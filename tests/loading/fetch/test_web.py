"""Plain web folders and folders of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.errors import FetchError, UnsafeWeightsError, UsageError, WeightsError
from pilotlight.loading.fetch.model import fetch
from pilotlight.loading.fetch.retry import RetryPolicy
from pilotlight.loading.files.manifest import write_manifest
from tests.loading.hub import FakeHub, Fault, model_files, safetensors, sha256, wanted_files
from tests.loading.recorder import Recorder

QUICK = RetryPolicy(retries=2, base_s=0.01, cap_s=0.02)
WEIGHTS = "model.safetensors"


@pytest.fixture
def web() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


def sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(content)}  {name}\n" for name, content in files.items()).encode()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def manifest_of(files: dict[str, bytes], folder: Path) -> bytes:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, source="elsewhere")
    return (folder / "manifest.json").read_bytes()


@pytest.mark.parametrize("listed_by", ["manifest.json", "SHA256SUMS"])
def test_a_web_folder(listed_by: str, web: FakeHub, tmp_path: Path) -> None:
    files = {**model_files(), "merges.txt": b"", "chat_template.jinja": b"{{ messages }}"}
    listing = manifest_of(files, tmp_path / "origin") if listed_by == "manifest.json" else sums(files)
    url = web.add_folder("m/my model", {**files, listed_by: listing}).replace(" ", "%20")
    recorder = Recorder()
    fetched = fetch(url, weights_dir=tmp_path / "w", environ={}, policy=QUICK, watcher=recorder)
    assert fetched.folder == tmp_path / "w/my model"
    assert contents(fetched.folder) == wanted_files(files)
    assert recorder.sizes == {name: len(content) for name, content in wanted_files(files).items()}
    assert (fetched.manifest.source, fetched.manifest.revision, fetched.unchecked) == (url, None, ())


def test_a_broken_connection_and_a_second_call(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail(WEIGHTS, Fault(break_after=700), *[Fault(status=500)] * 3)
    with pytest.raises(FetchError, match="3 times in a row"):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)
    assert contents(fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK).folder) == files
    assert web.seen(WEIGHTS)[-1].range == "bytes=700-"


def test_a_part_longer_than_the_file(web: FakeHub, tmp_path: Path) -> None:
    """Sizes come from HEAD here; a part that is as long as they say but wrong is dropped, and fetched again."""
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail(WEIGHTS, Fault(break_after=700), *[Fault(status=500)] * 3)
    with pytest.raises(FetchError):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)
    (tmp_path / f"one/{WEIGHTS}.part").write_bytes(b"x" * len(files[WEIGHTS]))
    assert contents(fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK).folder) == files


def test_the_wrong_hash(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums({**files, WEIGHTS: b"other"})})
    expected, got = sha256(b"other"), sha256(files[WEIGHTS])
    with pytest.raises(FetchError, match=f"{WEIGHTS}: expected sha256 {expected}, got {got}"):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)
    assert [path.name for path in (tmp_path / "one").glob("model*")] == []


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"config.json": b"{}"}, UsageError, r"neither manifest\.json nor SHA256SUMS.*sha256sum"),
        ({"SHA256SUMS": b"hello"}, WeightsError, "line 1: expected 64 hex digits"),
        ({"manifest.json": b'{"name": "a web app"}'}, WeightsError, "not a manifest"),
        ({"SHA256SUMS": b"x" * (17 << 20)}, FetchError, "larger than"),
        ({"SHA256SUMS": sums({"config.json": b"", "model.bin": b""})}, UnsafeWeightsError, "only as pickles"),
        ({"SHA256SUMS": sums({"config.json": b"", "m.safetensors": b""})}, FetchError, r"has no such file \(404\)"),
        ({"SHA256SUMS": sums({"tokenizer/../../x.safetensors": b""})}, WeightsError, "sub-folders"),
    ],
)
def test_listings_that_do_not_help(
    files: dict[str, bytes], error: type[Exception], message: str, web: FakeHub, tmp_path: Path
) -> None:
    url = web.add_folder("m/one", files)
    with pytest.raises(error, match=message):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)


def test_a_signed_url_signs_every_request_and_stays_secret(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)}) + "?sig=secret"
    web.fail(WEIGHTS, *[Fault(status=500)] * 3)
    with pytest.raises(FetchError) as caught:
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)
    fetched = fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)
    assert {seen.query for seen in web.requests} == {"sig=secret"}
    assert "secret" not in f"{caught.value}{fetched.manifest}"


def test_a_redirect_to_plain_http_elsewhere_is_refused(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail(WEIGHTS, Fault(status=302, headers={"Location": "http://mirror.invalid/x"}))
    with pytest.raises(UsageError, match=r"http://mirror\.invalid is not encrypted"):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)


def test_a_redirect_in_circles(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail(WEIGHTS, *[Fault(status=302, headers={"Location": f"{url}{WEIGHTS}"})] * 30)
    with pytest.raises(FetchError, match="leads nowhere: TooManyRedirects"):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)


def test_bytes_that_are_packed_although_we_asked_for_none(web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail("config.json", Fault(status=200, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(FetchError, match=r"config\.json: 127\.0\.0\.1 sends it as gzip"):
        fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK)


@pytest.mark.parametrize("content_range", ["bytes 5-9/200117", "bytes */200117", "nonsense", ""])
def test_a_range_that_is_not_the_one_asked_for(content_range: str, web: FakeHub, tmp_path: Path) -> None:
    files = wanted_files(model_files())
    url = web.add_folder("m/one", {**files, "SHA256SUMS": sums(files)})
    web.fail(WEIGHTS, Fault(break_after=700), Fault(status=206, headers={"Content-Range": content_range}))
    assert contents(fetch(url, weights_dir=tmp_path, environ={}, policy=QUICK).folder) == files
    assert [seen.range for seen in web.seen(WEIGHTS)] == [None, "bytes=700-", None]


@pytest.mark.parametrize("listed_by", [None, "manifest.json", "SHA256SUMS"])
def test_a_folder_of_this_machine(listed_by: str | None, tmp_path: Path) -> None:
    files = model_files()
    origin = tmp_path / "my model ä"
    listing = manifest_of(files, origin)
    (origin / "manifest.json").unlink()
    if listed_by:
        (origin / listed_by).write_bytes(listing if listed_by == "manifest.json" else sums(files))
    fetched = fetch(origin.as_uri(), weights_dir=tmp_path / "w", environ={})
    assert contents(fetched.folder) == wanted_files(files)
    assert fetched.manifest.source == origin.as_uri()
    assert bool(fetched.unchecked) == (listed_by is None)


def test_a_folder_of_this_machine_that_lies_or_is_incomplete(tmp_path: Path) -> None:
    files = wanted_files(model_files())
    manifest_of(files, tmp_path / "origin")
    (tmp_path / "origin" / WEIGHTS).write_bytes(safetensors(50_000, seed=9))
    with pytest.raises(FetchError, match=f"{WEIGHTS}: expected sha256"):
        fetch((tmp_path / "origin").as_uri(), weights_dir=tmp_path / "w", environ={})
    (tmp_path / "origin" / "config.json").unlink()
    with pytest.raises(FetchError, match=r"config\.json is missing, although the folder lists it"):
        fetch((tmp_path / "origin").as_uri(), weights_dir=tmp_path / "v", environ={})


def test_a_damaged_plan(tmp_path: Path) -> None:
    manifest_of(model_files(), tmp_path / "origin")
    (tmp_path / "w/origin").mkdir(parents=True)
    (tmp_path / "w/origin/.fetch.json").write_text('{"format_version": 1, "source": "x", "mode": 2}')
    with pytest.raises(WeightsError, match="is damaged: remove"):
        fetch((tmp_path / "origin").as_uri(), weights_dir=tmp_path / "w", environ={})

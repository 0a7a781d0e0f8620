from __future__ import annotations

import os
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from pilotlight.errors import ConfigError, UnsafeWeightsError, WeightsError
from pilotlight.loading import find_model
from pilotlight.loading.files.manifest import write_manifest
from tests.loading.hub import FakeHub, git_sha1, lfs, model_files, sha256, wanted_files

OFFLINE = {"HF_HUB_OFFLINE": "1"}
COMMIT = "a" * 40
OTHER = "b" * 40


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def cache(root: Path, repo: str, commit: str, files: dict[str, bytes], ref: str | None = "main") -> Path:
    """A snapshot as the Hub's client lays it out: blobs by hash, a snapshot of relative links, a ref with a commit."""
    top = root / f"models--{repo.replace('/', '--')}"
    snapshot = top / "snapshots" / commit
    for folder in (top / "blobs", snapshot, top / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        blob = sha256(content) if lfs(name) else git_sha1(content)
        (top / "blobs" / blob).write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    if ref:
        (top / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (top / "refs" / ref).write_text(commit)
    return snapshot


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Caches of this test only, and no network."""
    return {**OFFLINE, "PILOTLIGHT_RUNPOD_CACHE": str(tmp_path / "runpod"), "HF_HOME": str(tmp_path / "hf")}


def test_a_folder_and_a_name(weights: Path, offline: dict[str, str]) -> None:
    demo = write_files(weights / "demo", wanted_files(model_files()))
    assert find_model(str(demo), environ=offline) == demo
    assert find_model("demo", weights_dir=weights, environ=offline) == demo


@pytest.mark.parametrize(
    "ref", ["", " ", "demo2", "./demo2", "/no/folder", "~nobody-here/x", "a/b/c", "x" * 5000, "a\0b", "org/.."]
)
def test_a_reference_to_nothing(ref: str, weights: Path, offline: dict[str, str]) -> None:
    write_files(weights / "demo", {})
    with pytest.raises(ConfigError, match=r"is no model: .*\(demo\)|name is empty"):
        find_model(ref, weights_dir=weights, environ=offline)


def test_by_the_source_in_a_manifest(weights: Path, offline: dict[str, str]) -> None:
    for name, source, commit in (("one", "hf://org/name", COMMIT), ("two", "hf://org/name@v2", OTHER)):
        write_files(weights / name, wanted_files(model_files()))
        write_manifest(weights / name, source=source, revision=commit)
    write_files(weights / "broken", {"manifest.json": b"{"})
    found = {
        ref: find_model(ref, weights_dir=weights, environ=offline).name
        for ref in (
            "org/name",
            "hf://org/name",
            "org/name@main",
            f"org/name@{COMMIT}",
            "org/name@v2",
            f"org/name@{OTHER}",
        )
    }
    assert list(found.values()) == ["one", "one", "one", "one", "two", "two"]
    with pytest.raises(WeightsError, match="not on this machine"):
        find_model("org/name@v3", weights_dir=weights, environ=offline)


@pytest.mark.parametrize("ref", ["org/name", "org/name@main", f"org/name@{COMMIT}"])
def test_in_runpods_cache_before_the_other(ref: str, tmp_path: Path, weights: Path, offline: dict[str, str]) -> None:
    snapshot = cache(tmp_path / "runpod", "org/name", COMMIT, model_files())
    cache(tmp_path / "hf/hub", "org/name", COMMIT, model_files())
    assert find_model(ref, weights_dir=weights, environ=offline) == snapshot


def test_in_a_cache_without_refs_the_newest_snapshot_is_the_default(
    tmp_path: Path, weights: Path, offline: dict[str, str]
) -> None:
    old = cache(tmp_path / "runpod", "org/name", COMMIT, model_files(), ref=None)
    new = cache(tmp_path / "runpod", "org/name", OTHER, model_files(seed=1), ref=None)
    os.utime(old, (1, 1))
    assert find_model("org/name", weights_dir=weights, environ=offline) == new
    with pytest.raises(WeightsError, match="not on this machine"):
        find_model("org/name@v2", weights_dir=weights, environ=offline)


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_in_the_hubs_cache_wherever_it_is(variable: str, tmp_path: Path, weights: Path) -> None:
    root = {"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}[variable]
    main = cache(tmp_path / "c" / root, "org/name", COMMIT, model_files())
    branch = cache(tmp_path / "c" / root, "org/name", OTHER, model_files(seed=1), ref="refs/pr/1")
    environ = {**OFFLINE, variable: str(tmp_path / "c"), "PILOTLIGHT_RUNPOD_CACHE": str(tmp_path / "none")}
    assert find_model("org/name", weights_dir=weights, environ=environ) == main
    assert find_model("org/name@refs/pr/1", weights_dir=weights, environ=environ) == branch


def test_in_a_cache_that_the_hubs_own_client_wrote(tmp_path: Path, weights: Path, offline: dict[str, str]) -> None:
    files = model_files()
    with FakeHub() as hub:
        commit = hub.add_repo("org/name", files)
        written = snapshot_download("org/name", cache_dir=tmp_path / "hf/hub", endpoint=hub.url, token=False)
    found = find_model("org/name", weights_dir=weights, environ=offline)
    assert found == tmp_path / "hf/hub/models--org--name/snapshots" / commit
    assert found.samefile(written)
    assert (found / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_an_incomplete_snapshot_is_passed_over(tmp_path: Path, weights: Path, offline: dict[str, str]) -> None:
    cache(tmp_path / "runpod", "org/name", COMMIT, {"config.json": b"{}"})
    whole = cache(tmp_path / "hf/hub", "org/name", OTHER, model_files())
    assert find_model("org/name", weights_dir=weights, environ=offline) == whole


def test_offline_says_what_was_seen(tmp_path: Path, weights: Path, offline: dict[str, str]) -> None:
    with pytest.raises(WeightsError, match=r"neither in .* HF_HUB_OFFLINE forbids"):
        find_model("org/name", weights_dir=weights, environ=offline)
    cache(tmp_path / "hf/hub", "org/name", COMMIT, {"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(WeightsError, match=r"Hugging Face's cache: .* only as pickles"):
        find_model("org/name", weights_dir=weights, environ=offline)


def test_fetched_once_and_found_afterwards(tmp_path: Path, weights: Path, offline: dict[str, str]) -> None:
    files = model_files()
    with FakeHub() as hub:
        commit = hub.add_repo("org/name", files)
        environ = {**offline, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url}
        folder = find_model("org/name", weights_dir=weights, environ=environ)
    assert folder == weights / "name"
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    for ref in ("org/name", f"org/name@{commit}", "name"):
        assert find_model(ref, weights_dir=weights, environ=offline) == folder


def test_pickles_are_not_fetched(weights: Path, offline: dict[str, str]) -> None:
    with FakeHub() as hub:
        hub.add_repo("org/name", {"config.json": b"{}", "pytorch_model.bin": b"x"})
        with pytest.raises(UnsafeWeightsError, match="only as pickles"):
            find_model(
                "org/name", weights_dir=weights, environ={**offline, "HF_HUB_OFFLINE": "", "HF_ENDPOINT": hub.url}
            )
    assert list(weights.iterdir()) == []

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pilotlight.errors import FetchError, PilotlightError, UnsafeWeightsError, UsageError, WeightsError
from pilotlight.loading.fetch.model import Fetched, fetch
from pilotlight.loading.fetch.retry import RetryPolicy
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.verify import glance
from pilotlight.loading.locate import find_model
from tests.loading.gguf.files import tiny_gguf
from tests.loading.hub import FakeHub, Fault, lfs, model_files, safetensors, sha256, wanted_files
from tests.loading.recorder import Recorder

QUICK = RetryPolicy(retries=3, base_s=0.01, cap_s=0.02)
CONFIG = b'{"model_type": "llama"}'
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


def get(hub: FakeHub, tmp_path: Path, source: str = "hf://org/name", **options: object) -> Fetched:
    environ = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    if hub.token:
        environ["HF_TOKEN"] = hub.token
    arguments = {"weights_dir": tmp_path / "weights", "environ": environ, "policy": QUICK, **options}
    return fetch(source, **arguments)  # type: ignore[arg-type]  # options of any kind, checked at run time


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def test_brings_the_wanted_files_and_a_manifest(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    commit = hub.add_repo("org/name", files)
    recorder = Recorder()
    fetched = get(hub, tmp_path, watcher=recorder)

    assert fetched.folder == tmp_path / "weights" / "name"
    assert contents(fetched.folder) == wanted_files(files)
    manifest = read_manifest(fetched.folder)
    assert (manifest.source, manifest.revision, manifest.engines) == ("hf://org/name", commit, ("torch",))
    assert {file.name: file.sha256 for file in manifest.files} == {n: sha256(c) for n, c in wanted_files(files).items()}
    assert fetched.unchecked == ()
    assert {arrived.how for arrived in fetched.files} == {"fetched"}
    assert recorder.sizes == {name: len(content) for name, content in wanted_files(files).items()}
    assert recorder.done == recorder.sizes


def test_a_finished_folder_asks_nobody(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    get(hub, tmp_path)
    before = len(hub.requests)
    again = get(hub, tmp_path)
    assert (again.files, again.received_bytes, len(hub.requests)) == ((), 0, before)


def test_a_revision_gets_a_folder_of_its_own(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    commit = hub.add_repo("org/name", model_files(seed=1), revision="refs/pr/1")
    fetched = get(hub, tmp_path, "hf://org/name@refs/pr/1")
    assert fetched.folder.name == "name@refs-pr-1"
    assert (fetched.manifest.source, fetched.manifest.revision) == ("hf://org/name@refs/pr/1", commit)
    assert get(hub, tmp_path, f"hf://org/name@{commit}").manifest.revision == commit


def test_a_broken_connection_goes_on_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), Fault(break_after=50_000))
    recorder = Recorder()
    fetched = get(hub, tmp_path, watcher=recorder)

    requests = hub.seen(WEIGHTS)
    assert [seen.range for seen in requests] == [None, "bytes=1000-", "bytes=51000-"]
    assert all(seen.if_range == f'"{sha256(files[WEIGHTS])[:32]}"' for seen in requests[1:])
    assert contents(fetched.folder) == wanted_files(files)
    (weights,) = [arrived for arrived in fetched.files if arrived.file.name == WEIGHTS]
    assert (weights.how, weights.received_bytes) == ("resumed", len(files[WEIGHTS]))
    assert sum("trying again" in note for note in recorder.notes) == 2


def test_interrupted_twice_by_failures_then_finished(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    folder = tmp_path / "weights" / "name"
    for upto in (1000, 3000):
        hub.fail(WEIGHTS, Fault(break_after=upto - (0 if upto == 1000 else 1000)), *[Fault(status=500)] * 4)
        with pytest.raises(FetchError, match=r"500, 4 times in a row. The bytes already received are kept"):
            get(hub, tmp_path)
        assert (folder / f"{WEIGHTS}.part").read_bytes() == files[WEIGHTS][:upto]
        assert not (folder / WEIGHTS).exists()
        assert not (folder / "manifest.json").exists()
    fetched = get(hub, tmp_path)
    assert contents(fetched.folder) == wanted_files(files)
    assert hub.seen(WEIGHTS)[-1].range == "bytes=3000-"
    assert fetched.received_bytes == len(files[WEIGHTS]) - 3000


def test_goes_on_with_the_commit_it_began_with(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    commit = hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), *[Fault(status=500)] * 4)
    with pytest.raises(FetchError):
        get(hub, tmp_path)
    hub.add_repo("org/name", model_files(seed=1))
    fetched = get(hub, tmp_path)
    assert fetched.manifest.revision == commit
    assert contents(fetched.folder) == wanted_files(files)


def test_a_server_without_ranges_starts_again(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), Fault(whole=True))
    fetched = get(hub, tmp_path)
    assert contents(fetched.folder) == wanted_files(files)
    (weights,) = [arrived for arrived in fetched.files if arrived.file.name == WEIGHTS]
    assert (weights.how, weights.received_bytes) == ("fetched", len(files[WEIGHTS]) + 1000)


def test_wrong_bytes_never_get_the_name(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    wrong = files[WEIGHTS][:-1] + b"!"
    hub.fail(WEIGHTS, Fault(body=wrong))
    expected, got = sha256(files[WEIGHTS]), sha256(wrong)
    with pytest.raises(
        FetchError, match=rf"^model\.safetensors: expected sha256 {expected}, got {got}\. It was not kept"
    ):
        get(hub, tmp_path)
    folder = tmp_path / "weights" / "name"
    assert [path.name for path in folder.glob("model*")] == []
    assert not (folder / "manifest.json").exists()
    assert contents(get(hub, tmp_path).folder) == wanted_files(files)


def test_a_small_file_is_checked_too(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.fail("tokenizer.json", Fault(body=b"[]"))
    with pytest.raises(FetchError, match=r"^tokenizer\.json: expected git blob id \w{40}, got \w{40}"):
        get(hub, tmp_path)
    assert not (tmp_path / "weights/name/tokenizer.json").exists()


def test_a_truncated_file_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(body=files[WEIGHTS][:1000]))
    with pytest.raises(
        FetchError, match=r"model\.safetensors: expected 200117 bytes, and the source sends a file of 1000"
    ):
        get(hub, tmp_path)
    assert not (tmp_path / "weights/name" / WEIGHTS).exists()


def test_a_part_that_rotted_is_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), *[Fault(status=500)] * 4)
    with pytest.raises(FetchError):
        get(hub, tmp_path)
    part = tmp_path / "weights/name" / f"{WEIGHTS}.part"
    part.write_bytes(b"\0" * 1000)
    recorder = Recorder()
    assert contents(get(hub, tmp_path, watcher=recorder).folder) == wanted_files(files)
    assert [seen.range for seen in hub.seen(WEIGHTS)][-2:] == ["bytes=1000-", None]
    assert any("starting again" in note for note in recorder.notes)


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b'{"identity": 1}', b'{"identity": "other", "etag": null}'])
def test_a_part_of_something_else_is_not_used(state: bytes, hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), *[Fault(status=500)] * 4)
    with pytest.raises(FetchError):
        get(hub, tmp_path)
    (tmp_path / "weights/name" / f"{WEIGHTS}.part.json").write_bytes(state)
    assert contents(get(hub, tmp_path).folder) == wanted_files(files)
    assert hub.seen(WEIGHTS)[-1].range is None


def test_a_whole_part_needs_no_request(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(break_after=1000), *[Fault(status=500)] * 4)
    with pytest.raises(FetchError):
        get(hub, tmp_path)
    (tmp_path / "weights/name" / f"{WEIGHTS}.part").write_bytes(files[WEIGHTS])
    before = len(hub.seen(WEIGHTS))
    assert contents(get(hub, tmp_path).folder) == wanted_files(files)
    assert len(hub.seen(WEIGHTS)) == before


def test_busy_servers_are_waited_for_as_they_ask(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.fail("main", Fault(status=503), Fault(status=429, headers={"Retry-After": "1"}))  # the listing's last word
    hub.fail("config.json", Fault(status=429, headers={"Retry-After": "1"}), Fault(status=502))
    recorder = Recorder()
    get(hub, tmp_path, watcher=recorder)
    assert sum("429; trying again in 1.0 s" in note for note in recorder.notes) == 2
    assert len(hub.seen("config.json")) == 3


def test_too_long_a_wait_is_not_waited(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.fail("config.json", Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(FetchError, match=r"429, and asks to wait 3600 s: try again then"):
        get(hub, tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://org/none", "has no such repository, or it is private and HF_TOKEN is not set"),
        ("hf://org/name@v9", "has no revision 'v9'"),
        ("hf://org/gated", r"is gated: accept its terms on .*/org/gated and set HF_TOKEN"),
        ("hf://org/na--me", "not a repository's name"),
    ],
)
def test_what_the_hub_does_not_give(source: str, message: str, hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.gated.add("org/gated")
    with pytest.raises(PilotlightError, match=message):
        get(hub, tmp_path, source)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_file_that_is_refused_or_gone(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.fail("config.json", Fault(status=403), Fault(status=404), Fault(status=418))
    for message in (r"config\.json: .* refuses it \(403\)", r"has no such file \(404\)", "answered 418"):
        with pytest.raises(FetchError, match=message):
            get(hub, tmp_path)


def test_the_token_goes_to_the_hub_only_and_is_never_shown(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    hub.add_repo("org/name", model_files())
    hub.fail(WEIGHTS, Fault(break_after=1000), *[Fault(status=500)] * 4)
    recorder = Recorder()
    with pytest.raises(FetchError) as caught:
        get(hub, tmp_path, watcher=recorder)
    for path in (tmp_path / "weights/name").iterdir():
        assert b"secret" not in path.read_bytes()
    get(hub, tmp_path, watcher=recorder)
    assert "secret" not in f"{caught.value}{recorder.notes}"
    authorized = {(seen.host, seen.authorization) for seen in hub.requests}
    assert authorized == {("127.0.0.1", "Bearer hf_secret"), ("localhost", None)}


def test_pickles_are_refused_before_anything_is_written(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", {"config.json": b"{}", "pytorch_model.bin": b"x", "model.ckpt": b"x"})
    with pytest.raises(UnsafeWeightsError, match=r"hf://org/name has its weights only as pickles"):
        get(hub, tmp_path)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_shard_that_the_index_names_and_nobody_has(hub: FakeHub, tmp_path: Path) -> None:
    index = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    files = {"config.json": b"{}", "model.safetensors.index.json": index}
    hub.add_repo("org/name", {**files, "model-00001-of-00002.safetensors": safetensors(10)})
    with pytest.raises(WeightsError, match=r"lacks 1 of the 2 shards .* \(model-00002-of-00002\.safetensors\)"):
        get(hub, tmp_path)
    assert not (tmp_path / "weights/name/manifest.json").exists()


def test_odd_names_and_empty_files(hub: FakeHub, tmp_path: Path) -> None:
    files = {"config.json": CONFIG, "merges.txt": b"", "my gewichte ä #1?.safetensors": safetensors(100)}
    hub.add_repo("org/name", files)
    assert contents(get(hub, tmp_path).folder) == files


def test_a_disk_that_is_too_small(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.claimed_sizes[WEIGHTS] = 10**17
    with pytest.raises(FetchError, match=r"needs 1000000000000000\d\d more bytes and the disk has \d+ left: make room"):
        get(hub, tmp_path)
    assert hub.seen(WEIGHTS) == []


def test_a_folder_that_holds_something_else(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.add_repo("org/other", model_files(seed=1))
    folder = get(hub, tmp_path).folder
    with pytest.raises(UsageError, match=r"holds hf://org/name, not hf://org/other: give another folder with --into"):
        get(hub, tmp_path, "hf://org/other", into=folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and no fetch began it"):
        get(hub, tmp_path, into=tmp_path / "mine")
    with pytest.raises(UsageError, match="is a file"):
        get(hub, tmp_path, into=tmp_path / "mine/notes.txt")
    with pytest.raises(FetchError, match=r"cannot write to .*notes"):
        get(hub, tmp_path, into=tmp_path / "mine/notes.txt/below")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_folder_damaged_since_is_mended(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    folder = get(hub, tmp_path).folder
    (folder / WEIGHTS).write_bytes(b"short")
    mended = get(hub, tmp_path)
    assert contents(folder) == wanted_files(files)
    assert {arrived.file.name: arrived.how for arrived in mended.files}["config.json"] == "kept"
    assert mended.received_bytes == len(files[WEIGHTS])


def test_two_at_once_do_the_work_once(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    hub.add_repo("org/name", files)
    hub.fail(WEIGHTS, Fault(hold_after=1000))
    second = Recorder()
    with ThreadPoolExecutor(2) as pool:
        fetching = pool.submit(get, hub, tmp_path)
        hub.wait_held()
        waiting = pool.submit(get, hub, tmp_path, watcher=second)
        assert second.noted.wait(120)
        assert second.notes == [f"another fetch is at work in {tmp_path / 'weights/name'}: waiting for it"]
        hub.release()
        assert len(fetching.result(120).files) == len(wanted_files(files))
        assert waiting.result(120).files == ()
    assert contents(tmp_path / "weights/name") == wanted_files(files)
    assert len(hub.seen(WEIGHTS)) == 1


def test_no_more_files_at_a_time_than_jobs(hub: FakeHub, tmp_path: Path) -> None:
    names = [f"model-{number}-of-5.safetensors" for number in range(1, 6)]
    shards = {name: safetensors(100, seed=i, name=f"w{i}") for i, name in enumerate(names)}
    hub.add_repo("org/name", {"config.json": CONFIG, **shards})
    for name in names:
        hub.fail(name, Fault(hold_after=10))
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(get, hub, tmp_path, jobs=2)
        hub.wait_held(2)
        assert len([seen for seen in hub.requests if "/resolve/" in seen.path]) == 2
        hub.release()
        assert len(fetching.result(120).files) == 6


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_out_of_bounds(jobs: int, hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jobs must be 1 or more"):
        get(hub, tmp_path, jobs=jobs)


def test_within_a_running_event_loop(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())

    async def setup() -> Fetched:
        return get(hub, tmp_path)

    assert asyncio.run(setup()).files


def test_an_endpoint_that_is_no_hub(tmp_path: Path) -> None:
    with FakeHub() as hub:
        url = hub.add_folder("site", {"index.html": b"<html>"})
    environ = {"HF_ENDPOINT": url.rstrip("/")}
    with pytest.raises(FetchError, match=r"cannot be reached \(ConnectError\), 4 times in a row"):
        fetch("hf://org/name", weights_dir=tmp_path, environ=environ, policy=QUICK)


def test_the_fake_keeps_large_files_in_a_store(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    get(hub, tmp_path)
    assert {seen.path.split("/")[1] for seen in hub.seen(WEIGHTS)} == {"store"}
    assert lfs(WEIGHTS)


def test_one_gguf_file_of_a_repository(hub: FakeHub, tmp_path: Path) -> None:
    files = {"a.Q8_0.gguf": tiny_gguf(tmp_path / "a.gguf", kind="Q8_0").read_bytes(), "b.gguf": b"b", "README.md": b""}
    commit = hub.add_repo("org/name-GGUF", files)
    fetched = get(hub, tmp_path, "hf://org/name-GGUF#a.Q8_0.gguf")
    assert fetched.folder == tmp_path / "weights/a.Q8_0"
    assert contents(fetched.folder) == {"a.Q8_0.gguf": files["a.Q8_0.gguf"]}
    assert (fetched.manifest.source, fetched.manifest.revision) == ("hf://org/name-GGUF#a.Q8_0.gguf", commit)
    assert hub.seen("b.gguf") == []
    assert glance(fetched.folder).state == "complete"

    environ = {"PILOTLIGHT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    named = [
        find_model(name, weights_dir=tmp_path / "weights", environ=environ)
        for name in ("a.Q8_0", "org/name-GGUF#a.Q8_0.gguf")
    ]
    assert named[0] == named[1]
    assert (named[0] / "config.json").is_file()


def test_a_gguf_file_has_to_be_named_where_there_are_several(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name-GGUF", {"a.gguf": b"a", "b.gguf": b"b"})
    with pytest.raises(WeightsError, match=r"has 2 GGUF files \(a\.gguf, b\.gguf\): name one of them, such as hf://"):
        get(hub, tmp_path, "hf://org/name-GGUF")
    with pytest.raises(WeightsError, match=r"there is no such file\. GGUF files there: a\.gguf, b\.gguf"):
        get(hub, tmp_path, "hf://org/name-GGUF#c.gguf")


def test_a_damaged_gguf_file_is_no_model(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name-GGUF", {"a.gguf": b"GGUF" + bytes(100)})
    with pytest.raises(WeightsError, match="version 0: only 2 and 3 can be read"):
        get(hub, tmp_path, "hf://org/name-GGUF")
    assert not (tmp_path / "weights/name-GGUF/manifest.json").exists()

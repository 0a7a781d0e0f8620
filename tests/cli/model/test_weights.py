"""``pilotlight weights`` as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loading.hub import FakeHub, Fault, model_files, sha256, wanted_files

WEIGHTS = "model.safetensors"
COMMAND = [sys.executable, "-c", "from pilotlight.cli import main; main()", "weights"]
DEADLINE_S = 120


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


def environ(hub: FakeHub | None) -> dict[str, str]:
    endpoint = {"HF_ENDPOINT": hub.url} if hub else {}
    return {**os.environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_TOKEN": "hf_secret", **endpoint}


def weights(folder: Path, *args: str, hub: FakeHub | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in ``folder``; it must end with ``status``, without a traceback and without the token."""
    done = subprocess.run(
        [*COMMAND, *args], cwd=folder, env=environ(hub), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr
    return done


def test_fetch_list_verify(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    commit = hub.add_repo("org/name", files)
    done = weights(tmp_path, "fetch", "hf://org/name", hub=hub)
    assert done.stdout.startswith("weights/name: 4 files, 200.2 kB (200.2 kB received in ")
    assert done.stdout.endswith(f"hf://org/name at {commit}\n")
    assert done.stderr == ""
    assert "is already complete" in weights(tmp_path, "fetch", "hf://org/name", hub=hub).stdout

    listing = weights(tmp_path, "list").stdout
    header, row, *known = listing.splitlines()
    assert header.split() == ["name", "state", "size", "files", "parameters", "engines", "source"]
    assert row.split() == ["name", "complete", "200.2", "kB", "4", "50.0k", "F32", "torch", "hf://org/name"]
    assert "Not here yet; pilotlight weights fetch NAME fetches one:" in known
    assert "  minilm-l6-v2: " in listing
    assert weights(tmp_path, "verify").stdout == "weights/name: 4 files, every byte as the manifest says\n"
    assert weights(tmp_path, "verify", "name", "weights/name").stdout.count("every byte") == 2


def test_for_machines(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files()
    commit = hub.add_repo("org/name", files)
    hub.fail("config.json", Fault(status=503))
    done = weights(tmp_path, "fetch", "hf://org/name", "--json", "--jobs", "1", hub=hub)
    fetched = json.loads(done.stdout)
    assert "trying again" in done.stderr
    assert (fetched["folder"], fetched["revision"], fetched["source"]) == ("weights/name", commit, "hf://org/name")
    assert fetched["received_bytes"] == fetched["size_bytes"] == sum(map(len, wanted_files(files).values()))
    assert fetched["wall_s"] > 0
    assert {file["name"]: file["sha256"] for file in fetched["files"]} == {
        name: sha256(content) for name, content in wanted_files(files).items()
    }
    assert {(file["how"], file["checked"]) for file in fetched["files"]} == {("fetched", True)}

    (listed,) = json.loads(weights(tmp_path, "list", "--json").stdout)
    assert (listed["name"], listed["state"], listed["parameters"]) == ("name", "complete", {"F32": 50_000})
    (verified,) = json.loads(weights(tmp_path, "verify", "--json").stdout)
    assert (verified["ok"], {file["finding"] for file in verified["files"]}) == (True, {"ok"})


def test_verify_says_what_differs(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    weights(tmp_path, "fetch", "hf://org/name", hub=hub)
    (tmp_path / "weights/name/tokenizer.json").write_bytes(b"[]")
    (tmp_path / "weights/name/more.txt").write_bytes(b"")
    (tmp_path / "weights/unfinished").mkdir()
    out = weights(tmp_path, "verify", status=1).stdout
    assert "weights/name: 2 of 5 files differ" in out
    assert "weights/unfinished has no manifest.json" in out
    assert f"weights/name/tokenizer.json  sha256 differs  sha256 {sha256(b'{}')}  sha256 {sha256(b'[]')}" in out
    assert "weights/name/more.txt        extra" in out
    results = json.loads(weights(tmp_path, "verify", "--json", status=1).stdout)
    assert [result["ok"] for result in results] == [False, False]
    listed = weights(tmp_path, "list")
    assert "no manifest" in listed.stdout
    assert "has no *.safetensors file" in listed.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fetch", "org/name"], "Did you mean hf://org/name?"),
        (["fetch", "http://example.com/x"], "--allow-http"),
        (["fetch"], "Missing argument 'SOURCE'"),
        (["fetch", "hf://org/name", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["verify"], "there is nothing to verify"),
        (["verify", "none"], "'none' is neither a folder nor one of weights/"),
    ],
)
def test_a_mistake_is_one_message(args: list[str], message: str, tmp_path: Path) -> None:
    assert message in weights(tmp_path, *args, status=2).stderr


def test_pickles_are_a_mistake_and_a_lost_server_a_failure(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/pickles", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    hub.add_repo("org/name", model_files())
    hub.fail("config.json", Fault(status=404))
    assert "only as pickles" in weights(tmp_path, "fetch", "hf://org/pickles", hub=hub, status=2).stderr
    assert "no such file (404)" in weights(tmp_path, "fetch", "hf://org/name", hub=hub, status=1).stderr


def test_list_of_nothing(tmp_path: Path) -> None:
    listing = weights(tmp_path, "list", "--weights-dir", "my models").stdout
    assert "There is no model under my models/" in listing
    assert "pilotlight weights fetch NAME --weights-dir 'my models' fetches one:" in listing
    assert "  smollm2-135m-instruct: " in listing
    assert weights(tmp_path, "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_twice_and_finished_by_the_same_command(kill: signal.Signals, tmp_path: Path) -> None:
    files = model_files(parameters=1_000_000)
    arguments = ["fetch", "hf://org/name", "--into", "my model"]
    folder = tmp_path / "my model"
    part = folder / f"{WEIGHTS}.part"
    kept = 0
    for upto in (1_500_000, 1_000_000):  # of what is asked for: the whole, then the rest
        with FakeHub() as hub:
            hub.add_repo("org/name", files)
            hub.fail(WEIGHTS, Fault(hold_after=upto))
            process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=tmp_path, env=environ(hub), stderr=subprocess.PIPE, text=True
            )
            hub.wait_held()
            hub.wait_until(lambda before=kept: part.exists() and part.stat().st_size > before)
            process.send_signal(kill)
            _, err = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, "Traceback" in err) == (130 if kill == signal.SIGINT else -kill, False)
        assert ("the same command resumes" in err) == (kill == signal.SIGINT)
        assert part.read_bytes() == files[WEIGHTS][: part.stat().st_size]
        assert part.stat().st_size > kept
        assert not (folder / WEIGHTS).exists()
        assert not (folder / "manifest.json").exists()
        kept = part.stat().st_size
        assert "unfinished" in weights(tmp_path, "list", "--weights-dir", ".").stdout

    with FakeHub() as hub:
        hub.add_repo("org/name", files)
        weights(tmp_path, *arguments, hub=hub)
        assert [seen.range for seen in hub.seen(WEIGHTS)] == [f"bytes={kept}-"]
    assert (folder / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*wanted_files(files), "manifest.json"])
    weights(tmp_path, "verify", "my model")


def test_bars_on_a_terminal(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repo("org/name", model_files())
    hub.fail(WEIGHTS, Fault(status=503))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "fetch", "hf://org/name"],
        cwd=tmp_path,
        env={**environ(hub), "TERM": "xterm", "COLUMNS": "100"},
        stderr=theirs,
        stdout=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        drawn = read_all(ours)
        assert process.wait(DEADLINE_S) == 0
    assert "fetching" in drawn
    assert "trying again" in drawn
    assert "200.2" in drawn


def read_all(terminal: int) -> str:
    drawn = bytearray()
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end of a terminal was closed
            chunk = b""
        if not chunk:
            os.close(terminal)
            return drawn.decode("utf-8", "replace")
        drawn += chunk

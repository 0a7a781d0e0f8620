"""A run of pytest in a process of its own, with our plugin and a test that never ends by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

LEAVES_A_HANDLER = """
import signal
import pytest

@pytest.fixture(scope="session", autouse=True)
def server():
    yield
    ENDED

def test_leaves_a_handler():
    signal.signal(signal.SIGTERM, lambda number, frame: print("ignored", flush=True))

def test_never_ends():
    WAITING
    while True:
        signal.pause()
"""

FIXTURE_LEAVES_A_HANDLER = """
import signal
import pytest

@pytest.fixture
def handler():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    ENDED

def test_never_ends(handler):
    WAITING
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("code", [LEAVES_A_HANDLER, FIXTURE_LEAVES_A_HANDLER], ids=["test", "fixture"])
@pytest.mark.parametrize("parallel", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_sigterm_ends_a_run_whatever_handlers_tests_leave(code: str, parallel: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.termination import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    waiting = tmp_path / "waiting"
    os.mkfifo(waiting)
    ended = tmp_path / "ended"
    # xdist keeps what its workers print, so they write to files.
    code = code.replace("WAITING", f"open({str(waiting)!r}, 'w').close()")
    code = code.replace("ENDED", f"open({str(ended)!r}, 'w').close()")
    (tmp_path / "test_it.py").write_text(code)
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *parallel, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        waiting.read_text()  # opens when the test has come to write it
        run.terminate()
        said, _ = run.communicate(timeout=150)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "KeyboardInterrupt" in said
    assert ended.exists(), said

"""The exporter's environment: made once, over ours; and programs that are run in it end with us."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pilotlight.loading.export.environment import CACHE_VARIABLE, ExporterError, environment, run_logged
from tests.loading.recorder import Recorder


def test_it_is_made_once_sees_our_packages_and_is_another_for_other_pins(tmp_path: Path) -> None:
    environ = {**os.environ, CACHE_VARIABLE: str(tmp_path / "cache")}
    pins = tmp_path / "pins.txt"
    pins.write_text("# nothing beside what is below\n")
    recorder = Recorder()
    python = environment(pins, environ, recorder)
    assert len(recorder.notes) == 1
    assert "making an environment for the exporter" in recorder.notes[0]
    assert environment(pins, environ, recorder) == python
    assert len(recorder.notes) == 1
    said: list[str] = []
    code = "import sys, torch, numpy; print(sys.prefix); print(torch.__file__)"
    run_logged([python, "-I", "-c", code], environ, said.append)
    assert Path(said[0]) == python.parent.parent
    assert Path(said[1]).is_relative_to(Path(sys.prefix).resolve())
    pins.write_text("there-is-no-such-package-as-this ==1.0\n")
    with pytest.raises(ExporterError, match="there-is-no-such-package-as-this"):
        environment(pins, {**environ, "PIP_NO_INDEX": "1"}, recorder)


def test_a_failure_comes_with_the_end_of_what_was_printed() -> None:
    code = "import sys; print('a line'); sys.stderr.write('x\\n' * 100 + 'the reason'); sys.exit(3)"
    said: list[str] = []
    with pytest.raises(ExporterError, match=r"ended with status 3:\n(x\n){14}the reason"):
        run_logged([sys.executable, "-c", code], os.environ, said.append)
    assert said == ["a line"]


def test_an_interrupt_ends_the_program_too() -> None:
    pids: list[int] = []

    def interrupt(line: str) -> Any:
        pids.append(int(line))
        raise KeyboardInterrupt

    code = "import os, threading; print(os.getpid(), flush=True); threading.Event().wait()"
    with pytest.raises(KeyboardInterrupt):
        run_logged([sys.executable, "-c", code], os.environ, interrupt)
    assert not psutil.pid_exists(pids[0])

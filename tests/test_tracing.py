"""Stamps, as a predictor makes them and as the harness reads them."""

import os
import subprocess
import sys
import threading

import pytest

from pilotlight import tracing
from pilotlight.bench.cold.records import read_records


def test_without_the_variable_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.delenv(tracing.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with tracing.stage("weights"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_stages_of_several_threads_and_a_stage_that_raises(tmp_path, monkeypatch):
    monkeypatch.setenv(tracing.VARIABLE, str(tmp_path))
    inside, leave = threading.Event(), threading.Event()

    def load():
        with tracing.stage("weights"):
            inside.set()
            leave.wait(120)

    thread = threading.Thread(target=load)
    thread.start()
    assert inside.wait(120)
    with pytest.raises(ValueError, match="no such graph"), tracing.stage("compile"):
        raise ValueError("no such graph")
    leave.set()
    thread.join()
    ((process, (compiled, weights)),) = read_records(tmp_path).items()
    assert process == os.getpid()
    assert (compiled.kind, compiled.name, weights.name) == ("stage", "compile", "weights")
    assert weights.start_ns < compiled.start_ns < compiled.end_ns < weights.end_ns
    assert weights.thread != compiled.thread == threading.get_ident()


def test_a_folder_that_has_gone_is_no_reason_to_fail(tmp_path, monkeypatch):
    monkeypatch.setenv(tracing.VARIABLE, str(tmp_path / "gone"))
    with tracing.stage("weights"):
        reached = True
    assert reached


def test_it_loads_nothing_that_an_interpreter_would_not():
    code = (
        "import __future__, collections.abc, contextlib, threading, sys; before = set(sys.modules);"
        "import pilotlight.tracing;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, check=True)
    assert done.stdout.strip() == "['pilotlight', 'pilotlight.errors', 'pilotlight.tracing']"

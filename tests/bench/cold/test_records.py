"""The hook in real interpreters, and the reading of what it writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.bench.cold.records import ProcessRecord, hook_environment, opened_files, parse_records, read_records
from pilotlight.bench.cold.timeline import import_times


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def python(code, folder, notes, *, environ=None, **options):
    """Runs ``code`` in ``folder`` under the hook; its output."""
    environ = {**os.environ, **(environ or {})}
    environ = {**environ, **hook_environment(notes, folder / "predict.py", environ, **options)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_start_and_every_import_of_an_interpreter(tmp_path, notes):
    (tmp_path / "predict.py").write_text("import inner\nimport inner_too\n")
    (tmp_path / "inner.py").write_text("import array\n")
    (tmp_path / "inner_too.py").write_text("import inner\n")
    ident = python("import os, predict; print(os.getpid())", tmp_path, notes)
    records = read_records(notes)[int(ident)]
    began = records[0]
    assert (began.kind, began.name) == ("python", str(os.getpid()))
    assert began.start_ns <= began.end_ns
    kinds = {record.name: record.kind for record in records[1:]}
    assert kinds["predict"] == "predictor"
    assert kinds["inner"] == kinds["inner_too"] == "import"
    assert [record.name for record in records].count("inner") == 1
    spans = {record.name: record for record in records}
    assert spans["predict"].start_ns <= spans["inner"].start_ns <= spans["inner"].end_ns <= spans["predict"].end_ns
    assert {"predictor", "inner", "inner_too"} <= {one.package for one in import_times(read_records(notes))}


def test_the_first_start_of_cuda_is_the_stage_device_and_only_that(tmp_path, notes):
    cuda = tmp_path / "torch" / "cuda"
    cuda.mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("")
    # As PyTorch has it: compiled code and Python code both look it up as torch.cuda._lazy_init.
    (cuda / "__init__.py").write_text("started = 0\ndef _lazy_init():\n    global started\n    started += 1\n")
    code = "import torch.cuda as c; own = c._lazy_init; [c._lazy_init() for _ in range(3)]; print(c.started)"
    assert python(code, tmp_path, notes) == "3"
    (records,) = read_records(notes).values()
    stages = [record for record in records if record.kind == "stage"]
    assert [stage.name for stage in stages] == ["device"]
    (imported,) = [record for record in records if record.name == "torch.cuda"]
    assert imported.end_ns <= stages[0].start_ns <= stages[0].end_ns


def test_a_start_of_cuda_that_fails_still_fails(tmp_path, notes):
    code = "import torch\ntry:\n torch.zeros(1, device='cuda')\nexcept (AssertionError, RuntimeError) as e:\n print(e)"
    said = python(code, tmp_path, notes)
    assert "CUDA" in said
    (records,) = [found for found in read_records(notes).values() if any(one.name == "torch.cuda" for one in found)]
    assert [record.name for record in records if record.kind == "stage"] == ["device"]


def test_an_import_that_fails_is_noted_and_still_fails(tmp_path, notes):
    (tmp_path / "broken.py").write_text("import array\nraise OSError('no weights')\n")
    said = python("try:\n import broken\nexcept OSError as error:\n print(error)", tmp_path, notes)
    assert said == "no weights"
    (records,) = read_records(notes).values()
    assert records[-1].name == "broken"


def test_an_existing_sitecustomize_still_runs_and_the_path_stays_as_it_was(tmp_path, notes):
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys\nsys.own = __name__, __file__\n")
    code = "import sys, sitecustomize; print(sys.own, sitecustomize.__file__, [p for p in sys.path if 'hook' in p])"
    said = python(code, tmp_path, notes, environ={"PYTHONPATH": str(own)})
    assert said == f"('sitecustomize', '{own}/sitecustomize.py') {own}/sitecustomize.py []"


def test_a_fork_and_a_child_have_files_of_their_own(tmp_path, notes):
    (tmp_path / "late.py").write_text("")
    code = (
        "import os, subprocess, sys\n"
        "if child := os.fork():\n os.waitpid(child, 0); print(child)\nelse:\n import late; os._exit(0)\n"
        "subprocess.run([sys.executable, '-c', 'import late'], check=True)"
    )
    child = int(python(code, tmp_path, notes))
    processes = read_records(notes)
    assert len(processes) == 3
    assert [record.name for record in processes[child]] == ["late"]


def test_files_that_python_opens(tmp_path, notes):
    (tmp_path / "data.txt").write_text("x")
    python("open('data.txt').close()", tmp_path, notes, note_files=True)
    assert tmp_path / "data.txt" in opened_files(read_records(notes))


def test_an_interpreter_whose_notes_have_gone_runs_all_the_same(tmp_path):
    (tmp_path / "late.py").write_text("")
    assert python("import late; print('done')", tmp_path, tmp_path / "gone") == "done"


def test_what_is_cut_short_or_unknown_is_left_out():
    text = "import\t1\t2\t3\tjson\nshout\t1\t2\t3\tx\nimport\t1\tx\t3\ty\nnoise\nstage\t4\t5\t6\ta\tb\nimport\t7\t8"
    assert parse_records(text) == [ProcessRecord("import", 1, 2, 3, "json"), ProcessRecord("stage", 4, 5, 6, "a\tb")]


def test_a_python_path_keeps_its_meaning():
    given = hook_environment(Path("n"), Path("p"), {"PYTHONPATH": "a:b"})["PYTHONPATH"]
    assert given.endswith("hook:a:b")
    assert hook_environment(Path("n"), Path("p"), {})["PYTHONPATH"].endswith("hook")

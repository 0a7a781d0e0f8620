"""``pilotlight start-files`` as a process."""

import json
import os
import shutil
import subprocess
import sys

from pilotlight.loading.start.start_files import NAME, read_list
from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "start-files"]


def start_files(*args):
    environ = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [*PROGRAM, *map(str, args)], env=environ, capture_output=True, text=True, timeout=500, check=False
    )


def test_writes_what_a_start_reads(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(PROJECTS / "run_lines", project)
    done = start_files(project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"files. Written to: {project / NAME}\n")
    assert len(done.stderr.splitlines()) == 2
    files = {file.path: file for file in read_list(project / NAME)}
    assert "{project}/predict.py" in files
    assert any(path.startswith("{environment}/lib/") and "/cog/" in path for path in files)
    sizes = [file.read_bytes for file in read_list(project / NAME)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 0


def test_json_writes_nothing(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(PROJECTS / "run_lines", project)
    done = start_files(project, "--json")
    document = json.loads(done.stdout)
    assert document["read_bytes"] == sum(file["read_bytes"] for file in document["files"]) > 0
    assert not (project / NAME).exists()


def test_a_project_that_does_not_start(tmp_path):
    done = start_files(PROJECTS / "run_broken")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr.partition("error:")[0]
    assert not (PROJECTS / "run_broken" / NAME).exists()
    assert start_files(tmp_path).returncode == 2

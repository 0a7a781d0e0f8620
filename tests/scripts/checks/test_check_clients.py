"""scripts/checks/check_clients.py with a client that is there already; the real ones need npm and the network."""

import subprocess
import sys

import pytest

from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "checks" / "check_clients.py"


@pytest.mark.parametrize(
    ("said", "ends", "status"),
    [
        ("ok run\nok stream\n", 0, 0),
        ("ok run\nFAILED stream: nothing came\n", 0, 1),
        ("ok run\n", 3, 1),
        ("", 0, 1),
    ],
)
def test_whatever_does_not_work_is_shown_and_is_the_exit_status(tmp_path, said, ends, status):
    python = tmp_path / "replicate2" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n[ \"$2\" = http://here ] && printf '{said}'\nexit {ends}\n")
    python.chmod(0o755)
    command = [sys.executable, SCRIPT, "--only", "replicate2", "--keep", tmp_path, "--url", "http://here"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == status
    for line in said.splitlines():
        assert f"replicate2: {line}\n" in result.stdout

"""scripts/checks/check_chat.py, with a tiny model in the place of the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import tiny_model
from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "checks" / "check_chat.py"
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

pytestmark = pytest.mark.timeout(600)


def check(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def test_the_answers_of_an_engine_are_counted(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    path = model / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": TEMPLATE}))
    done = check("--model", model, "--engines", "torch", "--only", "prefill", "--slots", 2)
    assert done.returncode == 0, done.stderr
    assert "alone: 2 of 2 as generate" in done.stdout
    assert "together: 20 of 20 as generate" in done.stdout


@pytest.mark.parametrize("args", [("--engines", "vllm"), ("--only", "nothing of this name")])
def test_what_does_not_exist_is_refused(args: tuple[str, str]) -> None:
    done = check(*args)
    assert done.returncode == 2
    assert "no " in done.stderr

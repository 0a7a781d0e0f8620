"""Programs as systems under test: what they print is measured, and the lower bounds compute what transformers does."""

import asyncio
import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM

from pilotlight.bench.systems.programs import ConcurrentProgram, LowerBoundProgram
from pilotlight.bench.systems.system_under_test import Load
from pilotlight.errors import WorkerCrashedError, WorkerTimeoutError
from tests.models import tiny_model
from tests.paths import SCRIPTS

BARE_TORCH = SCRIPTS / "baselines" / "floor" / "bare_torch.py"
IDS = [5, 17, 300, 42, 9]

FLOOR = """
import json, time
began = time.monotonic()
print("a warning that nobody asked for")
print(json.dumps({"stages": [["imports", began, began + 0.25]], "first_output": began + 0.5}))
"""
CROWD = """
import json, sys
asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))
for streams in map(int, asked["--streams"].split(",")):
    rate = streams * float(asked["--duration"]) * int(asked["--tokens"])
    line = {"streams": streams, "window_s": 2, "requests": 3, "tokens_per_s": rate, "first_output_s": [0.5, 1]}
    print(json.dumps(line))
"""
LOAD = Load((1, 16), 2.0, "one", 4, 5.0)


def program(kind, code, timeout_s=120.0):
    return kind("made up", [sys.executable, "-c", code], "a program", timeout_s)


def test_a_floor_is_timed_from_its_spawn():
    began = asyncio.run(program(LowerBoundProgram, FLOOR).start(note_files=False))
    stages = {one.stage: one.charged_s for one in began.stages}
    assert stages["imports"] == pytest.approx(0.25)
    assert stages["interpreter"] > 0
    assert sum(stages.values()) == pytest.approx(began.first_output_s)
    assert (began.ready_s, began.files) == (None, frozenset())


def test_which_files_a_floor_read():
    code = f"import base64, colorsys\n{FLOOR}"
    began = asyncio.run(program(LowerBoundProgram, code).start(note_files=True))
    assert {"colorsys"} <= {path.name.partition(".")[0] for path in began.files}


def test_a_crowd_is_asked_for_every_level():
    levels = asyncio.run(program(ConcurrentProgram, CROWD).stream(LOAD))
    assert [(one.streams, one.tokens_per_s, one.first_output_s) for one in levels] == [
        (1, 8.0, (0.5, 1.0)),
        (16, 128.0, (0.5, 1.0)),
    ]


@pytest.mark.parametrize(
    ("code", "timeout_s", "error", "message"),
    [
        ("raise SystemExit('no such file')", 30.0, WorkerCrashedError, "ended with status 1"),
        ("print('nothing')", 30.0, WorkerCrashedError, "ended with status 0"),
        ("import threading; threading.Event().wait()", 0.5, WorkerTimeoutError, "did not end within 0.5 s"),
    ],
)
def test_a_program_that_says_nothing(code, timeout_s, error, message):
    with pytest.raises(error, match=message):
        asyncio.run(program(ConcurrentProgram, code, timeout_s).stream(LOAD))


def test_the_floor_of_torch_computes_what_transformers_computes(tmp_path):
    model = tiny_model("llama", tmp_path)
    asked = [sys.executable, BARE_TORCH, model, "--ids", ",".join(map(str, IDS))]
    said = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    scores = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(torch.tensor([IDS])).logits[0, -1]
    assert said["token"] == int(scores.argmax())
    assert [name for name, _, _ in said["stages"]] == ["imports", "weights", "first_prediction"]
    assert said["first_output"] == said["stages"][-1][2]

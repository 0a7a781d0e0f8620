"""What the door to transformers leaves out, and that it comes when it is called. Each test is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import tiny_model

DEADLINE_S = 300
# Of other packages: 1,430 without optional ones such as PIL, 1,124 of them torch's. Of our own, which are small: 72.
# Raise either for a reason only.
MOST_MODULES = 1475
MOST_OWN_MODULES = 80
LEFT_OUT = ("sympy", "mpmath", "scipy", "torch._inductor", "torch.distributed.tensor", "torch.distributed.fsdp")


def run(code: str, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORT = """
import json, sys
import pilotlight.engines.torch.engine
print(json.dumps(sorted(sys.modules)))
"""


def test_import_budget() -> None:
    loaded = json.loads(run(IMPORT))
    assert [name for name in LEFT_OUT if name in loaded] == []
    own = [name for name in loaded if name.split(".")[0] == "pilotlight"]
    assert len(loaded) - len(own) < MOST_MODULES
    assert len(own) < MOST_OWN_MODULES


def test_everything_when_asked_for() -> None:
    loaded = json.loads(run(IMPORT, PILOTLIGHT_FULL_IMPORTS="1"))
    assert {"sympy", "torch._inductor", "torch.distributed.tensor"} <= set(loaded)
    assert len(loaded) > MOST_MODULES


# accelerate is here for other tests: transformers imports all of it where it is installed.
GENERATE = """
import importlib.util, json, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "accelerate" else find(name, *rest)
from pathlib import Path
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
engine = TorchEngine(Path(sys.argv[1]), device="cpu", serial=sys.argv[2] == "serial")
text = engine.submit(GenerationRequest("def main", Sampling(max_tokens=8, temperature=0))).text()
engine.close()
print(json.dumps([text, sorted(sys.modules)]))
"""


@pytest.mark.parametrize("way", ["batched", "serial"])
def test_a_prediction_needs_none_of_it_and_says_the_same(way: str, tmp_path: Path) -> None:
    folder = str(tiny_model("llama", tmp_path))
    text, loaded = json.loads(run(GENERATE, folder, way))
    assert [name for name in LEFT_OUT if name in loaded] == []
    assert len(loaded) < MOST_MODULES + MOST_OWN_MODULES + 135
    assert text == json.loads(run(GENERATE, folder, way, PILOTLIGHT_FULL_IMPORTS="1"))[0]


COMPILE = """
import sys, types
import torch
from pilotlight.engines.torch.lean_transformers import AutoModelForCausalLM
from pilotlight.engines.torch import lean_transformers

def double(x):
    return x * 2

disabled = torch.compiler.disable(double)
marked = torch.zeros(3)
torch._dynamo.mark_static_address(marked)
gone = torch.zeros(3)
torch._dynamo.mark_static_address(gone)
del gone
assert disabled(3) == 6
assert not hasattr(marked, "_dynamo_static_input_type")
assert type(torch._dynamo) is not types.ModuleType

def graph(x):
    return disabled(x + 1) + 1

explained = torch._dynamo.explain(graph)(torch.ones(2))
assert type(torch._dynamo) is types.ModuleType
assert explained.graph_break_count == 1, explained
assert marked._dynamo_static_input_type == "unguarded"
assert "sympy" in sys.modules

model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
ids = torch.tensor([[5, 6, 7]])
with torch.inference_mode():
    expected = model(ids).logits
    got = torch.compile(model, backend="eager")(ids).logits
assert torch.equal(expected, got)
try:
    torch._dynamo.no_such_name
except AttributeError as error:
    print(error)
"""


def test_the_compiler_is_there_when_it_is_called_and_knows_what_was_marked(tmp_path: Path) -> None:
    said = run(COMPILE, str(tiny_model("llama", tmp_path)))
    assert said == "module 'torch._dynamo' has no attribute 'no_such_name'\n"


def test_what_is_disabled_can_be_called_while_the_compiler_is_on_its_way() -> None:
    code = """
import threading
import torch, pilotlight.engines.torch.lean_transformers

disabled = torch.compiler.disable(lambda x: x + 1)
loading = threading.Thread(target=lambda: torch._dynamo.config)
loading.start()
calls = 0
while loading.is_alive():
    assert disabled(1) == 2
    calls += 1
print(calls > 100, disabled(1))
"""
    assert run(code) == "True 2\n"


def test_attributes_from_several_threads_at_once() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import torch, pilotlight.engines.torch.lean_transformers
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda name: getattr(torch._dynamo, name), ["reset", "explain", "optimize", "config"] * 4))
print(all(one is not None for one in found))
"""
    assert run(code) == "True\n"

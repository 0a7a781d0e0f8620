"""Rules about what goes into the image."""

import pytest

from pilotlight.doctor.facts import BuildFact, FileFact, Requirement
from pilotlight.doctor.findings import Fault, Fine
from tests.doctor.cases import call, check, facts

LOOSE = Requirement("requirements.txt:2", "torch>=2", pinned=False)
MB = 10**6


@pytest.mark.parametrize(
    ("reading", "severity"),
    [
        ({}, None),
        ({"requirements": (LOOSE,)}, "medium"),
        ({"sdk_version": None}, "low"),
        ({"python_version": None}, "low"),
        ({"requirements": (LOOSE,), "sdk_version": None}, "medium"),
    ],
)
def test_unpinned_packages(reading, severity):
    assert getattr(check("unpinned-packages", facts(**reading)), "severity", None) == severity


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        ((), None),
        ((BuildFact("run.py:3", "le=2 * 2 is not read from source, so s has no le; write", refused=False),), "medium"),
        ((BuildFact("run.py:3", "the type Strs is not supported; write str", refused=True),), "high"),
    ],
)
def test_a_source_that_the_build_reads_otherwise(found, severity):
    outcome = check("unbuilt-source", facts(unbuilt=found))
    assert getattr(outcome, "severity", None) == severity
    assert not found or f"run.py:3: {found[0].problem}" in outcome.evidence


def test_many_unpinned_packages_are_counted():
    outcome = check("unpinned-packages", facts(requirements=(LOOSE,) * 9))
    assert outcome.evidence[-1] == "and 4 more of 9"
    assert outcome.code == "torch==X.Y.Z"


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (call("transformers.AutoModel.from_pretrained", "setup", argument="org/name"), Fault),
        (call("transformers.AutoModel.from_pretrained", "setup", argument="gpt2"), Fault),
        (call("a.from_pretrained", "setup", argument="gpt2", keywords={"revision": "main"}), Fault),
        (call("a.from_pretrained", "setup", argument="gpt2", keywords={"revision": "0" * 40}), Fine),
        (call("a.from_pretrained", "setup", argument="gpt2", sources={"revision": "REVISION"}), Fine),
        (call("a.from_pretrained", "setup", first="folder"), Fine),
        (call("a.from_pretrained", "setup", argument="./weights"), Fine),
        (call("a.from_pretrained", "setup", argument="/src/weights"), Fine),
        (call("a.from_pretrained", "setup", argument="weights/mine"), Fine),  # there is such a folder
        (call("transformers.pipeline", "setup", argument="text-generation"), Fine),
        (call("transformers.pipeline", "setup", argument="ner", keywords={"model": "org/name"}), Fault),
        (call("huggingface_hub.snapshot_download", "setup", keywords={"repo_id": "org/name"}), Fault),
        (call("huggingface_hub.snapshot_download", "setup", sources={"repo_id": "repo"}), Fine),
        (call("print", "setup", argument="org/name"), Fine),
    ],
)
def test_unpinned_model(one, kind):
    files = (FileFact("weights/mine/config.json", 10),)
    assert type(check("unpinned-model", facts(code={"calls": (one,)}, files=files))) is kind


@pytest.mark.parametrize(
    ("files", "calls", "kind"),
    [
        ((FileFact("model.pt", MB, pickled=True),), (), Fault),
        ((FileFact("openvino_model.bin", MB),), (), Fine),
        ((), (call("torch.load", "setup"),), Fault),
        ((), (call("torch.load", "setup", keywords={"weights_only": True}),), Fine),
        ((), (call("joblib.load", "setup"),), Fault),
        ((), (call("torch.load", "import"),), Fine),
        ((), (), Fine),
    ],
)
def test_pickled_weights(files, calls, kind):
    assert type(check("pickled-weights", facts(code={"calls": calls}, files=files))) is kind


FETCH = call("requests.get", "setup")


@pytest.mark.parametrize(
    ("calls", "kind"),
    [
        ((), Fine),
        ((FETCH,), Fault),
        ((FETCH, call("hashlib.sha256", "setup")), Fine),
        ((FETCH, call("mine.verify_weights", "setup")), Fine),
        ((call("requests.get"),), Fine),  # in a prediction: an input, not weights
        ((call("subprocess.check_call", "setup", first="['pget', url, path]"),), Fault),
        ((call("subprocess.run", "setup", argument="curl -o a https://b", first="'curl -o a https://b'"),), Fault),
        ((call("subprocess.run", "setup", first="['nvidia-smi']"),), Fine),
        ((call("torch.hub.load_state_dict_from_url", "setup", keywords={"check_hash": True}),), Fine),
    ],
)
def test_unverified_fetch(calls, kind):
    assert type(check("unverified-fetch", facts(code={"calls": calls}))) is kind


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ((FileFact(".git/objects/pack/a.pack", 80 * MB),), Fault),
        ((FileFact("tests/data.npz", 4 * MB), FileFact("a/__pycache__/b.pyc", 4 * MB)), Fine),  # not worth a word
        ((FileFact("weights/model.safetensors", 500 * MB),), Fine),
        ((FileFact("w/a.safetensors", 500 * MB), FileFact("w/a.bin", 500 * MB, pickled=True)), Fault),
        ((FileFact("w/a.safetensors", 500 * MB), FileFact("v/a.bin", 500 * MB, pickled=True)), Fine),
        ((FileFact("study.ipynb", 30 * MB),), Fault),
    ],
)
def test_wasted_bytes(files, kind):
    assert type(check("wasted-bytes", facts(files=files))) is kind


def test_wasted_bytes_are_counted_by_folder():
    files = (FileFact(".git/a", 30 * MB), FileFact(".git/b/c", 30 * MB), FileFact("predict.py", MB))
    outcome = check("wasted-bytes", facts(files=files))
    assert outcome.evidence == ("60.0 MB of 61.0 MB in the image are not needed", ".git: 60.0 MB")
    assert outcome.code == ".git"


@pytest.mark.parametrize(
    ("commands", "environment", "kind"),
    [
        ((), {}, Fine),
        (("pip install torch==2.13.0",), {}, Fine),
        (("uv pip install torch==2.13.0",), {}, Fault),
        (("pip install --no-compile torch==2.13.0",), {}, Fault),
        (("uv pip install --compile-bytecode torch==2.13.0",), {}, Fine),
        (("uv pip install torch==2.13.0",), {"UV_COMPILE_BYTECODE": "1"}, Fine),
        (("uv sync --frozen",), {"UV_COMPILE_BYTECODE": "0"}, Fault),
    ],
)
def test_not_compiled(commands, environment, kind):
    assert type(check("not-compiled", facts(commands=commands, environment=environment))) is kind

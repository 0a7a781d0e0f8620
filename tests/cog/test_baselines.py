"""The predictors that we compare ours with, behind the real Cog server."""

import asyncio

import pytest

from pilotlight.runtime import Project, ServerOptions, Worker, raise_for_status
from tests.models import tiny_model
from tests.paths import ROOT

BASELINES = sorted(path.parent for path in (ROOT / "scripts" / "baselines").glob("*/cog.yaml"))


def name(folder):
    return folder.name


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model("llama", tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("folder", BASELINES, ids=name)
def test_it_takes_the_model_of_the_environment_and_goes_on_from_the_prompt(folder, model):
    async def scenario():
        options = ServerOptions(env={"PILOTLIGHT_MODEL": str(model), "CUDA_VISIBLE_DEVICES": ""})
        async with Worker(Project.load(folder), options) as worker:
            await worker.wait_ready(120)
            inputs = {"prompt": "one two three", "max_tokens": 8, "min_tokens": 8}
            return raise_for_status(await worker.predict(inputs))

    output = asyncio.run(scenario()).output
    text = output if isinstance(output, str) else "".join(output)
    assert text.strip()
    assert not text.startswith("one two three")


@pytest.mark.parametrize("folder", BASELINES, ids=name)
def test_what_it_installs_is_what_we_install(folder):
    own = set((folder / "requirements.txt").read_text().split())
    assert own == set((ROOT / "requirements.txt").read_text().split()) & own
    assert {pin.partition("==")[0] for pin in own} == {"torch", "transformers"}


def test_there_are_two():
    assert [folder.name for folder in BASELINES] == ["plain", "plain-pipeline"]

"""A predictor finds no token of the gateway in its environment: at its import, in a prediction, or for its schema."""

import asyncio

from pilotlight.runtime import Project, ServerOptions, Worker, schema_for

PREDICT = """
import os

AT_IMPORT = sorted(name for name in os.environ if name.startswith("PILOTLIGHT_") and "TOKEN" in name)
assert not AT_IMPORT, AT_IMPORT


def run(given: str) -> str:
    return " ".join(sorted(name for name in os.environ if name.startswith("PILOTLIGHT_") and "TOKEN" in name))
"""


def test_a_predictor_sees_no_token(tmp_path, monkeypatch):
    for name in ("PILOTLIGHT_TOKEN", "PILOTLIGHT_GATEWAY_TOKEN", "PILOTLIGHT_API_TOKEN"):
        monkeypatch.setenv(name, "secret")
    (tmp_path / "cog.yaml").write_text('build:\n  python_version: "3.11"\nrun: predict.py:run\n')
    (tmp_path / "predict.py").write_text(PREDICT)
    project = Project.load(tmp_path)
    assert "Input" in schema_for(project)["components"]["schemas"]

    async def scenario(env):
        async with asyncio.timeout(120), Worker(project, ServerOptions(env=env)) as worker:
            await worker.wait_ready(100)
            return (await worker.predict({"given": "a"})).output

    assert asyncio.run(scenario({})) == ""

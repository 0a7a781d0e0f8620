"""What is pushed, served by a running gateway with real Cog servers, for the unmodified ``replicate`` client."""

import json
import os
import signal
import time
from collections import Counter

import httpx2
import pytest
from replicate.exceptions import ReplicateError

from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.registry import Registry
from tests.cog.gateway_process import gateway_process, wait_until
from tests.cog.pushed import MODEL, pilotlight, push, variant
from tests.paths import PROJECTS

ONE = {"prompt": "a", "count": 1}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def served(home, **options):
    """A gateway of what was pushed, started where there is no project."""
    return gateway_process(home, cwd=home, **options)


def test_a_push_and_a_rollback_reach_a_running_gateway_and_old_versions_stay(tmp_path, home, capsys):
    first = push(capsys, home, variant(tmp_path, "old"))
    with served(home) as gateway:
        client = gateway.client()
        assert client.run(MODEL, input=ONE) == ["a0 old "]
        second = push(capsys, home, variant(tmp_path, "new"))
        running = client.predictions.create(first, {"prompt": "b", "count": 2, "pause_s": 0.3})
        assert client.run(MODEL, input=ONE) == ["a0 new "]
        assert list(client.run(f"{MODEL}:{first}", input=ONE)) == ["a0 old "]
        assert [one.id for one in client.models.get(MODEL).versions.list()] == [second, first]
        # What runs ends where it is.
        slow = client.models.predictions.create(MODEL, {"prompt": "c", "count": 2, "pause_s": 2})
        wait_until(lambda: slow.reload() or slow.status == "processing")
        status, out, _ = pilotlight(capsys, "rollback", MODEL, "--home", home)
        assert (status, out) == (0, f"{MODEL}:{first[:12]} is current now, in place of {second[:12]}\n")
        assert client.run(MODEL, input=ONE) == ["a0 old "]
        assert client.models.get(MODEL).latest_version.id == first
        for prediction in (running, slow):
            prediction.wait()
        assert running.output == ["b0 old ", "b1 old "]
        assert (slow.version, slow.output) == (second, ["c0 new ", "c1 new "])
        assert pilotlight(capsys, "rollback", MODEL, "--home", home)[0] == 0
        assert client.run(MODEL, input=ONE) == ["a0 new "]


def test_after_kill_9_an_old_versions_predictions_run_on_it(tmp_path, home, capsys):
    first = push(capsys, home, variant(tmp_path, "old"))
    with served(home) as gateway:
        client = gateway.client()
        running = client.predictions.create(first, {"prompt": "a", "pause_s": 60})
        waiting = [client.predictions.create(first, {"prompt": f"w{n}", "count": 1}) for n in range(2)]
        wait_until(lambda: running.reload() or running.status == "processing")
        second = push(capsys, home, variant(tmp_path, "new"))
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait(120)
    with served(home) as gateway:
        client = gateway.client()
        for number, one in enumerate(waiting):
            found = client.predictions.get(one.id)
            found.wait()
            assert (found.version, found.status, found.output) == (first, "succeeded", [f"w{number}0 old "])
        assert client.models.get(MODEL).latest_version.id == second


def test_deployments_and_deletions_with_the_client(tmp_path, home, capsys):
    first, second = (push(capsys, home, variant(tmp_path, word)) for word in ("old", "new"))
    with served(home) as gateway:
        client = gateway.client()
        deployment = client.deployments.create(
            name="steady", model=MODEL, version=first, hardware="cpu", min_instances=0, max_instances=2
        )
        assert [one.id for one in client.deployments.list()] == [deployment.id] == ["local/steady"]
        prediction = deployment.predictions.create(ONE)
        prediction.wait()
        assert (prediction.output, prediction.version) == (["a0 old "], first)
        updated = client.deployments.update("local", "steady", version=second, max_instances=1)
        release = updated.current_release
        assert (release.number, release.version, release.configuration.max_instances) == (2, second, 1)
        prediction = client.deployments.predictions.create("local/steady", ONE)
        prediction.wait()
        assert prediction.output == ["a0 new "]
        with pytest.raises(ReplicateError, match="local/steady serves it"):
            client.models.get(MODEL).versions.delete(second)
        assert client.deployments.delete("local", "steady")
        assert client.models.get(MODEL).versions.delete(second)
        assert client.models.get(MODEL).latest_version.id == first
        # The workers of the deleted version are still there: nothing of theirs may go.
        found = json.loads(pilotlight(capsys, "gc", "--json", "--home", home)[1])
        assert (found["versions"], found["in_use"]) == ([], [second])
    found = json.loads(pilotlight(capsys, "gc", "--json", "--home", home)[1])
    assert (found["versions"], found["in_use"]) == ([second], [])
    assert [folder.name for folder in (home / "versions").iterdir()] == [first]


def test_a_deployment_of_two_versions_is_answered_by_both_within_its_limit(tmp_path, home, capsys):
    first, second = (push(capsys, home, variant(tmp_path, word)) for word in ("old", "new"))
    said = {first: ["a0 old "], second: ["a0 new "]}
    # While no gateway runs or while one does: it follows what others write.
    weights = (Share(first, 1.0), Share(second, 1.0))
    Deployments(Registry(home)).create(Deployment("local/both", MODEL, weights, "cpu", 0, 2, time.time()))
    with served(home, args=["--max-workers", "1"]) as gateway:
        client = gateway.client()
        answered = Counter()
        # One of 24 draws of even chances on the other side: once in 8 million runs.
        for _ in range(24):
            prediction = client.deployments.predictions.create("local/both", ONE)
            prediction.wait()
            assert prediction.output == said[prediction.version]
            answered[prediction.version] += 1
        assert answered.keys() == {first, second}
        http = httpx2.Client(base_url=gateway.url, trust_env=False, timeout=60)
        with http:
            status = http.get("/status").json()
            metrics = http.get("/metrics").text.splitlines()
        counted = {one["version"]: one for one in status["versions"] if one["deployment"] == "local/both"}
        assert {version: one["ended"]["succeeded"] for version, one in counted.items()} == answered
        assert [one["ready_workers"] for one in counted.values()] == [1, 1]
        for version, count in answered.items():
            labels = f'deployment="local/both",model_name="{MODEL}",version="{version}"'
            assert f"vllm:e2e_request_latency_seconds_count{{{labels}}} {float(count)}" in metrics
        # With room for one worker the two versions take turns.
        client.deployments.update("local", "both", max_instances=1)
        wait_until(lambda: ready_workers(gateway) == 1)
        lasting = [client.deployments.predictions.create("local/both", ONE) for _ in range(8)]
        for prediction in lasting:
            prediction.wait()
            assert prediction.output == said[prediction.version]
        assert ready_workers(gateway) <= 1


def ready_workers(gateway):
    """Of all versions together."""
    with httpx2.Client(base_url=gateway.url, trust_env=False, timeout=60) as http:
        return sum(one["ready_workers"] for one in http.get("/status").json()["versions"])


def test_a_gateway_that_starts_with_nothing_serves_what_comes(tmp_path, home, capsys):
    home.mkdir()
    with served(home) as gateway:
        client = gateway.client()
        model = client.models.create("acme", "hello", visibility="private", hardware="cpu", description="says it")
        assert (model.latest_version, model.description) == (None, "says it")
        with pytest.raises(ReplicateError, match="has no version yet"):
            client.models.predictions.create(MODEL, ONE)
        push(capsys, home, PROJECTS / "run_text")
        assert client.run(MODEL, input=ONE) == ["a0 "]
        assert [one.id for one in client.models.search("SAYS hello")] == [MODEL]
        assert list(client.models.search("other")) == []
    assert "nothing has been pushed" in "".join(gateway.lines)


# One of each kind: modules of its own, weights, requirements, concurrency, no weights, files, training, odd outputs.
KINDS = (
    "cold_caches",
    "doctor_loads_per_request",
    "doctor_unpinned",
    "run_async",
    "run_broken",
    "run_files",
    "types_outputs",
)


def test_projects_of_every_kind_can_be_pushed(home, capsys):
    for name in KINDS:
        push(capsys, home, PROJECTS / name, f"acme/{name}")
    _, out, _ = pilotlight(capsys, "versions", "--home", home)
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"acme/{name}" for name in KINDS]


def test_what_cogs_build_would_refuse_is_not_pushed(home, capsys):
    status, _, err = pilotlight(capsys, "push", str(PROJECTS / "types_inputs"), "acme/types", "--home", home)
    assert status == 2
    assert "cog build refuses this predictor: predict.py:24: parameter color: the choices COLORS are not read" in err

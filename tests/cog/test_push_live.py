"""What is pushed, served by a running gateway with real Cog servers, for the unmodified ``replicate`` client."""

import json
import os
import signal

import pytest
from replicate.exceptions import ReplicateError

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
        gateway.process.wait(60)
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
    "types_inputs",
    "types_outputs",
)


def test_projects_of_every_kind_can_be_pushed(home, capsys):
    for name in KINDS:
        push(capsys, home, PROJECTS / name, f"acme/{name}")
    _, out, _ = pilotlight(capsys, "versions", "--home", home)
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"acme/{name}" for name in KINDS]

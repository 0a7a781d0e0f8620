"""A real Ray cluster on this machine: two replicas, two fronts, the command line and all that ends with it."""

import http.client
import importlib.metadata
import json
import os
import re
import signal
import socket
import tempfile
import threading

import psutil
import pytest

from pilotlight.adapters.ray.application import RaySettings, application
from pilotlight.adapters.ray.settings import front_options, replica_options
from pilotlight.cli import run
from pilotlight.client import Client
from pilotlight.errors import ConfigError, PredictionFailedError
from pilotlight.sse import Decoder
from tests.adapters.ray.ray_process import RayProcess, ray_cluster
from tests.cog.gateway_process import wait_until
from tests.paths import PROJECTS, ROOT

BUSY = "too many predictions are waiting for a replica; try again later"
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@pytest.fixture(scope="module")
def ray():
    args = ("--replicas", "2", "--ray-fronts", "2", "--ray-max-waiting", "8", "--ray-cpus", "0.1")
    with ray_cluster("run_text", *args) as found:
        yield found


class Held:
    """A prediction that has begun, and runs for as long as it pauses unless it is cancelled."""

    def __init__(self, ray, name, *, count=1, pause_s=60):
        self.name = name
        self._connection = http.client.HTTPConnection(ray.url.removeprefix("http://"), timeout=120)
        body = {"input": {"prompt": "a", "count": count, "pause_s": pause_s, "mode": name}}
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self._connection.request("PUT", f"/predictions/{name}", json.dumps(body), headers)
        self._answer = self._connection.getresponse()  # which comes when it begins
        assert self._answer.status == 200

    def hang_up(self):
        self._answer.close()
        self._connection.close()

    def end(self):
        """The prediction, once it has ended."""
        *_, last = Decoder().feed(self._answer.read())
        self.hang_up()
        assert last.event == "completed"
        return json.loads(last.data)


def quick(ray):
    with Client(f"cog:{ray.url}") as client:
        return client.run({"prompt": "q", "count": 1}, timeout_s=120).output


def test_the_client_of_a_cog_server_is_one_of_the_cluster(ray):
    with Client(f"cog:{ray.url}") as client:
        results = list(client.map(({"prompt": f"n{number}-", "count": 1} for number in range(8)), concurrency=4))
        assert [one.output for one in results] == [[f"n{number}-0 "] for number in range(8)]
        assert list(client.stream({"prompt": "a", "count": 3})) == ["a0 ", "a1 ", "a2 "]
        with pytest.raises(PredictionFailedError, match="boom") as caught:
            client.run({"prompt": "a", "mode": "raise"})
        assert "mode raise" in caught.value.logs


def test_health_and_refusals_are_those_of_a_cog_server(ray):
    with ray.client() as client:
        assert client.get("/health-check").json()["status"] == "READY"
        assert client.get("/health").status_code == 200
        refused = client.post("/predictions", json={"input": {"prompt": "a", "count": -1}})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "input", "count"])


def test_nothing_listens_beyond_this_machine(ray):
    listening = [
        (one.name(), found.laddr)
        for one in ray.members()
        for found in one.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN
    ]
    assert {"raylet", "gcs_server"} <= {name for name, _ in listening}
    assert [(name, address) for name, address in listening if address.ip not in LOOPBACK] == []


def test_a_cancel_reaches_the_worker_whatever_front_it_comes_in_by(ray):
    with ray.client() as client:
        for number in range(4):
            held = Held(ray, f"canceled-{number}")
            assert client.post(f"/predictions/{held.name}/cancel").status_code == 200
            assert held.end()["status"] == "canceled"
            assert client.post(f"/predictions/{held.name}/cancel").status_code == 404


def test_who_hangs_up_gives_the_slot_back(ray):
    first, second = Held(ray, "first"), Held(ray, "second")  # both slots
    first.hang_up()
    assert quick(ray) == ["q0 "]
    third = Held(ray, "third")
    second.hang_up()
    assert quick(ray) == ["q0 "]
    third.hang_up()


def test_more_than_may_wait_are_refused_as_a_busy_cog_server_does_it(ray):
    slots = [Held(ray, "busy-1"), Held(ray, "busy-2")]
    answers = []

    def ask():
        with ray.client() as client:
            answers.append(client.post("/predictions", json={"input": {"prompt": "w", "count": 1}}))

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answers) >= 8)  # two fronts, at each of which 8 may wait
    assert {(one.status_code, one.json()["error"]) for one in answers} == {(409, BUSY)}
    for one in slots:
        one.hang_up()
    for thread in threads:
        thread.join(120)
    assert {one.status_code for one in answers} == {200, 409}


def test_a_killed_replica_loses_what_it_ran_and_nothing_else(ray):
    doomed = Held(ray, "doomed")
    wait_until(lambda: ray.printed("mode doomed"))
    (pid,) = ray.printed("mode doomed")
    its_server = psutil.Process(pid).children(recursive=True)
    results = []

    def load():
        with Client(f"cog:{ray.url}") as client:
            inputs = ({"prompt": "l", "count": 1, "pause_s": 0.05, "mode": f"load-{n}"} for n in range(30))
            results.extend(client.map(inputs, concurrency=6, return_errors=True))

    loading = threading.Thread(target=load)
    loading.start()
    wait_until(lambda: ray.printed("mode load-3"))
    os.kill(pid, signal.SIGKILL)
    lost = doomed.end()
    assert lost["status"] == "failed"
    assert "replica that had prediction doomed is lost; as it may have begun, it was not run again" in lost["error"]
    with ray.client() as client:
        assert client.get("/health").status_code == 200
    loading.join(120)
    assert [getattr(one, "output", one) for one in results] == [["l0 "]] * 30
    # Its Cog server has not outlived it, and another one takes its place.
    wait_until(lambda: not any(one.is_running() for one in its_server))
    wait_until(lambda: any("2 replicas run" in line for line in ray.lines))
    both = [Held(ray, "after-1"), Held(ray, "after-2")]
    wait_until(lambda: ray.printed("mode after-1") and ray.printed("mode after-2"))
    assert pid not in {*ray.printed("mode after-1"), *ray.printed("mode after-2")}
    for one in both:
        one.hang_up()
    wait_until(lambda: all(ray.printed(f"mode load-{n}") for n in range(30)))
    assert [len(ray.printed(f"mode load-{n}")) for n in range(30)] == [1] * 30
    assert ray.printed("mode doomed") == [pid]


def test_a_second_command_on_the_same_cluster_is_refused_and_harms_nothing(ray):
    second = RayProcess(ray.folder, "run_text", "--ray-address", ray.gcs_address(), token=ray.token)
    assert second.end() == 2
    assert second.lines[-1].startswith("Error: the cluster already runs an application 'pilotlight'")
    assert quick(ray) == ["q0 "]


def test_sigterm_lets_a_prediction_end_and_leaves_nothing(ray):
    members = ray.members()
    held = Held(ray, "last", count=2, pause_s=1)
    ray.process.send_signal(signal.SIGTERM)
    found = held.end()
    assert (found["status"], found["output"]) == ("succeeded", ["a0 ", "a1 "])
    assert ray.end() == 0
    assert ray.said("Stopping")
    wait_until(lambda: not any(one.is_running() for one in members))
    assert os.listdir(ray.folder) == []  # noqa: PTH208 - names are enough


def test_a_setup_that_fails_ends_the_command_with_its_reason():
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        process = RayProcess(folder, "run_broken")
        try:
            assert process.end() == 1
        finally:
            process.close()
        assert process.printed("looking for the weights")
        assert process.lines[-1].startswith("Error: ")
        assert "weights/model.safetensors is not there" in process.lines[-1]
        assert not process.said("Traceback")
        assert os.listdir(folder) == []  # noqa: PTH208 - as above


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"project": "p", "min_replicas": 3, "max_replicas": 2}, "min_replicas is 3, more than max_replicas, 2"),
        ({"project": "p", "max_replica": 2}, "max_replica: Extra inputs"),
        ({"project": "p", "gpus": "many"}, "gpus: Input should be a valid number"),
        ({}, "project: Field required"),
        ({"project": "nowhere"}, "nowhere"),
    ],
)
def test_settings_that_make_no_sense_are_named(given, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        application(given)


def test_replicas_grow_with_what_waits_beyond_their_slots():
    fixed = replica_options(RaySettings(project="p", min_replicas=2, max_replicas=2), slots=4)
    assert (fixed["num_replicas"], "autoscaling_config" in fixed) == (2, False)
    found = replica_options(RaySettings(project="p", min_replicas=0, max_replicas=3, gpus=1, max_waiting=7), slots=4)
    assert found["autoscaling_config"] == {"min_replicas": 0, "max_replicas": 3, "target_ongoing_requests": 4}
    assert "num_replicas" not in found
    assert (found["max_ongoing_requests"], found["max_queued_requests"]) == (4, 7)
    assert found["ray_actor_options"]["num_gpus"] == 1
    # What waits is held by the front, so that it is lost with no replica.
    assert front_options(RaySettings(project="p", fronts=2))["max_ongoing_requests"] > 1000


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--replicas", "4:1"], "give a number, or MIN:MAX"),
        (["--replicas", "0"], "give a number, or MIN:MAX"),
        (["--replicas", "many"], "give a number, or MIN:MAX"),
        (["--on", "cog", "--replicas", "2"], "are for --on ray, not for --on cog"),
        (["--on", "vertex", "--ray-address", "auto"], "are for --on ray, not for --on vertex"),
        (["--project", "nowhere"], "nowhere"),
    ],
)
def test_what_makes_no_sense_on_the_command_line_is_said_before_anything_starts(args, words, capsys):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert run(["serve", "--on", "ray", "--port", str(port), "--project", str(PROJECTS / "run_text"), *args]) == 2
    assert words in capsys.readouterr().err


def test_the_image_serves_on_ray_with_the_release_that_is_tested_here():
    recipe = (ROOT / "images" / "ray.Dockerfile").read_text()
    assert f"ray[serve]=={importlib.metadata.version('ray')}" in recipe
    assert "PILOTLIGHT_SERVE_ON=ray PILOTLIGHT_SERVE_HOST=0.0.0.0" in recipe
    assert recipe.endswith('ENTRYPOINT ["/sbin/tini", "--", "python", "-m", "pilotlight"]\nCMD ["serve"]\n')

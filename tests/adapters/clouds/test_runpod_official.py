"""RunPod's own client and RunPod's own worker loop, both unmodified, with our adapter between them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.clouds.runpod_service import RunPodWorker, runpod_service
from tests.cog.gateway_process import wait_until

_CLIENT = Path(__file__).with_name("runpod_official.py")


class _Client:
    """The program as a process."""

    def __init__(self, service, story):
        self.process = subprocess.Popen(
            [sys.executable, str(_CLIENT), story],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "RUNPOD_ENDPOINT_BASE_URL": service.url, "NO_PROXY": "127.0.0.1"},
        )

    def finish(self):
        """All that it has found."""
        text, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, text
        return {name: value for line in text.splitlines() for name, value in json.loads(line).items()}


@pytest.fixture(scope="module")
def seen():
    """Both stories, side by side; and what is left of the workers that served them."""
    with runpod_service() as single, runpod_service() as several:
        clients = [_Client(single, "one"), _Client(several, "two")]
        workers = [RunPodWorker(single, "run_text")]
        try:
            # Only then there is a batch to take.
            wait_until(lambda: len(several.jobs) == 2)
            workers.append(RunPodWorker(several, "run_async"))
            yield _watch(single, several, clients, workers)
        finally:
            for client in clients:
                client.process.kill()
                client.process.communicate()
            for worker in workers:
                worker.end()


def _watch(single, several, clients, workers):
    def last_runs():
        return any(job.input["prompt"] == "g" and job.stream for job in single.jobs.values())

    for worker in workers:
        worker.wait_serving()
    wait_until(last_runs)
    processes = [len(worker.processes()) for worker in workers]
    statuses = [worker.end() for worker in workers]
    return {
        **clients[0].finish(),
        **clients[1].finish(),
        "single": single,
        "several": several,
        "statuses": statuses,
        "processes": processes,
        "left": [pid for worker in workers for pid in worker.processes()],
    }


def job_of(seen, prompt):
    return next(job for job in seen["single"].jobs.values() if job.input["prompt"] == prompt)


def test_run_run_sync_and_stream_bring_the_output(seen):
    assert seen["run"] == [["a\u2028é0 ", "a\u2028é1 "], "COMPLETED"]
    assert seen["run_sync"] == ["b0 ", "b1 "]
    assert seen["stream"] == ["c0 ", "c1 ", "c2 "]


def test_a_cancel_in_mid_stream_frees_the_slot(seen):
    first, status = seen["cancel"]
    assert (first, status) == ("d0 ", "CANCELLED")
    assert len(job_of(seen, "d").stream) < 1000
    assert job_of(seen, "e").started_at is not None


def test_a_failure_is_one_with_its_message_and_no_traceback(seen):
    chunks, status = seen["failure"]
    assert (chunks, status) == (["e0 "], "FAILED")
    assert "boom" in job_of(seen, "e").error
    assert "Traceback" not in job_of(seen, "e").error
    # Its run_sync gives nothing for a failure; the API says why.
    assert seen["refusal"] is None
    assert "count" in job_of(seen, "f").error


def test_jobs_are_taken_in_batches_and_run_together(seen):
    assert seen["outputs"] == [2, 2]
    assert seen["several"].batches[0] == 2


def test_a_worker_that_is_told_to_end_finishes_what_runs_and_leaves_nothing(seen):
    assert seen["last"] == [f"g{number} " for number in range(20)]
    assert seen["statuses"] == [0, 0]
    # Itself, its heartbeat, and Cog's two.
    assert all(count >= 4 for count in seen["processes"])
    assert seen["left"] == []
    assert seen["single"].pings > 0

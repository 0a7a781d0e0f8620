"""A client that is killed can cancel nothing any more; what it ran ends all the same."""

import contextlib
import subprocess
import sys

import httpx2

from pilotlight.client import Client
from tests.client.platforms import served_by_cog
from tests.cog.gateway_process import gateway_process, wait_until
from tests.paths import PROJECTS

# Says one thing, and then nothing for ten minutes.
_LONG = ("-i", "prompt=a", "-i", "count=2", "-i", "pause_s=600")


@contextlib.contextmanager
def killed_in_mid_stream(target, *args):
    """`pilotlight run` is killed once its first output is here."""
    code = "from pilotlight.cli import main; main()"
    command = [sys.executable, "-c", code, "run", target, *_LONG, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.read(3) == b"a0 "
            yield
        finally:
            process.kill()


def test_a_cog_server_is_free_again():
    with served_by_cog(PROJECTS / "run_text") as url:
        with killed_in_mid_stream(f"cog:{url}"):
            assert httpx2.get(f"{url}/health-check", trust_env=False).json()["status"] == "BUSY"
        with Client(f"cog:{url}") as client:
            assert client.run({"prompt": "b", "count": 1}, timeout_s=120).output == ["b0 "]


def test_a_gateway_cancels_at_the_clients_deadline(tmp_path):
    with gateway_process(tmp_path, "run_text", args=("--min-workers", "1")) as gateway:

        def prediction():
            return httpx2.get(f"{gateway.url}/v1/predictions", trust_env=False).json()["results"][0]

        with Client(f"gateway:{gateway.url}") as client:
            client.run({"prompt": "warm", "count": 1})
        with killed_in_mid_stream(f"gateway:{gateway.url}", "--timeout", "10"):
            assert prediction()["status"] == "processing"
        # It outlives its client, who may come back for it; not its deadline, and it had minutes to go.
        wait_until(lambda: prediction()["status"] == "canceled")

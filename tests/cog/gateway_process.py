"""``pilotlight gateway`` as a process, and the unmodified ``replicate`` client of it."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time

import replicate

from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "gateway", "--port", "0"]


class GatewayProcess:
    """The process; its output is read as it comes, so that it never waits for us."""

    def __init__(self, home, *projects, args=(), cwd=None):
        folders = [str(PROJECTS / name) for name in projects]
        self.lines = []
        self._listening = threading.Event()
        self.url = ""
        self._clients = []
        self.process = subprocess.Popen(
            [*PROGRAM, "--home", str(home), *args, *folders],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ},
            cwd=cwd,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.match("Listening at (.*)\n", line):
                self.url = match[1]
                self._listening.set()
        self._listening.set()

    def wait_listening(self):
        assert self._listening.wait(120)
        assert self.url, "".join(self.lines)
        return self

    def client(self, token="any"):
        """Replicate's own, as users have it."""
        client = replicate.Client(api_token=token, base_url=self.url)
        client.poll_interval = 0.02
        self._clients.append(client)
        return client

    def end(self):
        """Its exit status, after all it has to say."""
        status = self.process.wait(120)
        self._reader.join(120)
        for client in self._clients:
            client._client.close()  # it has no way of its own to be closed
        return status


def wait_until(condition, limit_s=300):
    """Asks until it holds."""
    end_s = time.monotonic() + limit_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end_s, "this never came"
        pause.wait(0.01)


@contextlib.contextmanager
def gateway_process(home, *projects, args=(), cwd=None):
    """Without projects, in a ``cwd`` that is none, it serves what was pushed to ``home``."""
    gateway = GatewayProcess(home, *projects, args=args, cwd=cwd)
    try:
        yield gateway.wait_listening()
    finally:
        gateway.process.kill()
        gateway.end()
        gateway.process.stderr.close()

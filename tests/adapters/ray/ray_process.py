"""``pilotlight serve --on ray`` as a process with a cluster of its own, and what is in it."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import httpx2
import psutil

from tests.cog.gateway_process import wait_until
from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "serve", "--on", "ray", "--project"]
# What Ray puts before a line that a replica prints.
LINE = re.compile(r"\(ServeReplica:pilotlight:Replica pid=(?P<pid>\d+)\) (?P<text>.*)\n")


class RayProcess:
    """The process; its output is read as it comes, so that it never waits for us."""

    def __init__(self, folder, project, *args, token=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.token = token or secrets.token_hex(32)
        self.lines = []
        self.process = subprocess.Popen(
            [*PROGRAM, str(PROJECTS / project), *args],
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
            # Ray's sockets are files in here, whose paths may have 107 characters.
            env={**os.environ, "PORT": str(port), "TMPDIR": str(folder), "RAY_AUTH_TOKEN": self.token},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        self.lines.extend(self.process.stdout)

    def wait_serving(self):
        wait_until(lambda: self.said("Serving") or self.process.poll() is not None, 300)
        assert self.said("Serving"), "".join(self.lines)
        return self

    def said(self, words):
        return any(words in line for line in self.lines)

    def printed(self, text):
        """The ids of the replicas that have printed this line, one for each time."""
        found = [match for match in map(LINE.fullmatch, [*self.lines]) if match and match["text"] == text]
        return [int(match["pid"]) for match in found]

    def members(self):
        """Every process of the cluster, those of the Cog servers included."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def client(self):
        return httpx2.Client(base_url=self.url, trust_env=False, timeout=120)

    def gcs_address(self):
        """Where others may join the cluster."""
        (server,) = [one for one in self.members() if one.name() == "gcs_server"]
        (listening,) = {one.laddr.port for one in server.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        return f"127.0.0.1:{listening}"

    def end(self):
        """Its exit status, after all it has to say."""
        status = self.process.wait(300)
        self._reader.join(120)
        self.process.stdout.close()
        return status

    def close(self):
        """Ends what is still there, by its id."""
        if self.process.stdout.closed:
            return
        members = self.members() if self.process.poll() is None else []
        self.process.send_signal(signal.SIGKILL)
        for one in members:
            if one.is_running():
                one.kill()
        self.end()


@contextlib.contextmanager
def ray_cluster(project, *args):
    """A cluster that serves ``project``; its folder is not pytest's, whose paths are too long for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        process = RayProcess(folder, project, *args)
        try:
            yield process.wait_serving()
        finally:
            process.close()

"""The same project at every kind of target that can run here, for as long as a block takes."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading

from pilotlight.adapters import sagemaker, vertex
from pilotlight.adapters.hosting import Host
from pilotlight.client import Client
from pilotlight.runtime import Project, schema_for
from tests.adapters.fronts import on_a_thread, sagemaker_runtime, vertex_api
from tests.adapters.runpod_service import ENDPOINT, runpod_service, runpod_worker
from tests.cog.gateway_process import PROJECTS, gateway_process

_PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "serve", "--project"]


@contextlib.contextmanager
def served_by_cog(folder):
    """The URL of a Cog server in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*_PROGRAM, str(folder)], stderr=subprocess.PIPE, text=True, env={**os.environ, "PORT": str(port)}
    )
    try:
        ready = any(re.search("[Rr]eady|Serving", line) for line in process.stderr)
        assert ready, "the server ended before it was ready"
        # What it prints from now on must not make it wait for us.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        reader.join(30)
        process.stderr.close()


@contextlib.contextmanager
def _in_a_cloud(kind, host):
    """(target, settings) of an endpoint whose container is ours."""
    if kind == "vertex":
        name = "projects/p/locations/l/endpoints/1"
        with (
            on_a_thread(vertex.create_app(host, vertex.Settings())) as container,
            on_a_thread(vertex_api(container, name)) as url,
        ):
            yield f"vertex:{name}", {"url": url, "token": "token"}
    else:
        with (
            on_a_thread(sagemaker.create_app(host)) as container,
            on_a_thread(sagemaker_runtime(container, "endpoint1")) as url,
        ):
            yield "sagemaker:endpoint1", {"url": url}


@contextlib.contextmanager
def home(kind, folder, path):
    """A client of ``PROJECTS / folder`` at a target of this kind; ``path`` is a folder for whoever needs one."""
    with contextlib.ExitStack() as stack:
        settings = {}
        if kind == "project":
            target = f"project:{PROJECTS / folder}"
        elif kind == "cog":
            target = f"cog:{stack.enter_context(served_by_cog(PROJECTS / folder))}"
        elif kind == "runpod":
            service = stack.enter_context(runpod_service())
            stack.enter_context(runpod_worker(service, folder))
            target = f"runpod:{ENDPOINT}"
            settings = {"url": service.url, "token": "key", "schema": schema_for(Project.load(PROJECTS / folder))}
        elif kind in ("vertex", "sagemaker"):
            host = stack.enter_context(Host(Project.load(PROJECTS / folder)))
            target, settings = stack.enter_context(_in_a_cloud(kind, host))
            settings["schema"] = host.document
        else:
            gateway = stack.enter_context(gateway_process(path, folder, args=("--min-workers", "1")))
            target = f"gateway:{gateway.url}"
        client = stack.enter_context(Client(target, **settings))
        client.settings = settings
        yield client

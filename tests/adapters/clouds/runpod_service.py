"""RunPod's queue, both sides of it: what the unmodified worker loop polls, and what clients call. On a thread."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.paths import PROJECTS

ENDPOINT = "ep1"
# Shorter than RunPod's: an ending worker waits for the poll that it is in.
_POLL_S = 1.0
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")


@dataclass
class Job:
    id: str
    input: object
    created_at: float
    status: str = "IN_QUEUE"
    output: object = None
    error: str | None = None
    stream: list = field(default_factory=list)
    given: int = 0
    started_at: float | None = None
    ended_at: float | None = None


class RunPodService:
    """Jobs in memory. ``url`` is what ``RUNPOD_ENDPOINT_BASE_URL`` names."""

    def __init__(self):
        self.jobs = {}
        self.batches = []
        self.pings = 0
        self._numbers = iter(range(1, 10**9))
        self._stops = []
        self._changed = asyncio.Condition()
        routes = [
            Route("/v2/{ep}/job-take/{worker}", self.take),
            Route("/v2/{ep}/job-take-batch/{worker}", self.take_batch),
            Route("/v2/{ep}/job-stop/{worker}", self.stop),
            Route("/v2/{ep}/job-done/{worker}/{id}", self.done, methods=["POST"]),
            Route("/v2/{ep}/job-stream/{worker}/{id}", self.streamed, methods=["POST"]),
            Route("/v2/{ep}/ping/{worker}", self.ping),
            Route("/v2/{ep}/run", self.run, methods=["POST"]),
            Route("/v2/{ep}/runsync", self.runsync, methods=["POST"]),
            Route("/v2/{ep}/status/{id}", self.status),
            Route("/v2/{ep}/stream/{id}", self.stream),
            Route("/v2/{ep}/cancel/{id}", self.cancel, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    # The worker's side

    async def take(self, request):
        jobs = await self._take(1)
        return JSONResponse(jobs[0]) if jobs else Response(status_code=204)

    async def take_batch(self, request):
        jobs = await self._take(int(request.query_params["batch_size"]))
        self.batches.append(len(jobs))
        return JSONResponse(jobs) if jobs else Response(status_code=204)

    async def _take(self, most):
        def waiting():
            return [job for job in self.jobs.values() if job.status == "IN_QUEUE"][:most]

        await self._until(waiting)
        taken = waiting()
        for job in taken:
            job.status, job.started_at = "IN_PROGRESS", time.monotonic()
        return [{"id": job.id, "input": job.input} for job in taken]

    async def stop(self, request):
        await self._until(lambda: self._stops)
        stops, self._stops = self._stops, []
        return JSONResponse({"jobsToStop": stops}) if stops else Response(status_code=204)

    async def streamed(self, request):
        job, body = self.jobs[request.path_params["id"]], await request.json()
        job.stream.append({"output": body["output"]})
        await self._bump()
        return Response()

    async def done(self, request):
        job, body = self.jobs[request.path_params["id"]], await request.json()
        if job.status not in _ENDED:
            job.status = "FAILED" if body.get("error") else "COMPLETED"
            job.output, job.error, job.ended_at = body.get("output"), body.get("error"), time.monotonic()
        await self._bump()
        return Response()

    async def ping(self, request):
        self.pings += 1
        return Response()

    # The clients' side

    async def run(self, request):
        if request.headers.get("authorization") != "Bearer key":
            return JSONResponse({"error": "who are you?"}, 401)
        job = await self._queued(await request.json())
        return JSONResponse({"id": job.id, "status": job.status})

    async def runsync(self, request):
        if request.headers.get("authorization") != "Bearer key":
            return JSONResponse({"error": "who are you?"}, 401)
        job = await self._queued(await request.json())
        wait_s = int(request.query_params.get("wait", 60_000)) / 1000
        await self._until(lambda: job.status in _ENDED, wait_s)
        return JSONResponse(_shown(job))

    async def _queued(self, body):
        job = Job(f"job-{next(self._numbers)}-e1", body["input"], time.monotonic())
        self.jobs[job.id] = job
        await self._bump()
        return job

    async def status(self, request):
        job = self.jobs.get(request.path_params["id"])
        return JSONResponse({"error": "no such job"}, 404) if job is None else JSONResponse(_shown(job))

    async def stream(self, request):
        job = self.jobs[request.path_params["id"]]
        await self._until(lambda: len(job.stream) > job.given or job.status in _ENDED)
        chunks, job.given = job.stream[job.given :], len(job.stream)
        return JSONResponse({"status": job.status, "stream": chunks})

    async def cancel(self, request):
        job = self.jobs[request.path_params["id"]]
        if job.status not in _ENDED:
            if job.status == "IN_PROGRESS":
                self._stops.append(job.id)
            job.status, job.ended_at = "CANCELLED", time.monotonic()
        await self._bump()
        return JSONResponse({"id": job.id, "status": job.status})

    async def _until(self, condition, limit_s=_POLL_S):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(condition)

    async def _bump(self):
        async with self._changed:
            self._changed.notify_all()


def _shown(job):
    shown = {"id": job.id, "status": job.status}
    if job.started_at is not None:
        shown["delayTime"] = int((job.started_at - job.created_at) * 1000)
    if job.ended_at is not None and job.started_at is not None:
        shown["executionTime"] = int((job.ended_at - job.started_at) * 1000)
    if job.output is not None:
        shown["output"] = job.output
    if job.error is not None:
        shown["error"] = job.error
    return shown


@contextlib.contextmanager
def runpod_service():
    """The service, with its ``url``."""
    service = RunPodService()
    listener = socket.create_server(("127.0.0.1", 0))
    service.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2"
    config = uvicorn.Config(service.app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield service
    finally:
        server.should_exit = True
        thread.join(120)


class RunPodWorker:
    """``pilotlight serve --on runpod`` as a process, with RunPod's own loop in it."""

    def __init__(self, service, folder):
        base = f"{service.url}/{ENDPOINT}"
        variables = {
            "RUNPOD_AI_API_KEY": "key",
            "RUNPOD_POD_ID": "pod1",
            "RUNPOD_ENDPOINT_ID": ENDPOINT,
            "RUNPOD_PING_INTERVAL": "2000",
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=X",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=X",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=X",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=X",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }
        # What it starts inherits this, wherever in the tree of processes it ends up.
        self._mark = f"RUNPOD_WORKER_OF_TEST={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        code = "from pilotlight.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--project", str(PROJECTS / folder), "--on", "runpod"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **variables, name: value},
        )
        self.lines = []
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if re.match("Serving ", line):
                self._serving.set()
        self._serving.set()

    def wait_serving(self):
        assert self._serving.wait(120)
        assert self.process.poll() is None, "".join(self.lines)
        return self

    def processes(self):
        """The ids of all that run of it, its heartbeat and its Cog server included."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def end(self):
        """Its exit status after SIGTERM."""
        self.process.terminate()
        status = self.process.wait(120)
        self._reader.join(120)
        self.process.stdout.close()
        return status


@contextlib.contextmanager
def runpod_worker(service, folder):
    worker = RunPodWorker(service, folder)
    try:
        yield worker.wait_serving()
    finally:
        # Not by force: its heartbeat is a process of its own, which only it ends.
        worker.end()

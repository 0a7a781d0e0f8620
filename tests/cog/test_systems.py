"""Systems that serve: a real Cog server, and one that speaks OpenAI's completions."""

import asyncio
import sys
from pathlib import Path

import pytest

from pilotlight.bench.harness.targets import BenchTarget, StartOptions
from pilotlight.bench.systems.cog import CogSystem
from pilotlight.bench.systems.server import ServerSystem
from pilotlight.bench.systems.system_under_test import Load
from pilotlight.errors import WorkerCrashedError, WorkerError
from pilotlight.runtime import Project
from tests.paths import PROJECTS

OPTIONS = StartOptions(Path(sys.executable), {}, 60.0, 60.0)
LOAD = Load((1, 2), 0.3, "one two", 10, 30.0)

# Streams as many words as tokens are asked for; `refuse` in the prompt is an error, `cut` ends the stream too early.
SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["stream"] and self.path == "/v1/completions"
        self.send_response(503 if "refuse" in asked["prompt"] else 200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(asked["max_tokens"]):
            self.event({"choices": [{"text": f" word{number}"}], "usage": None})
        if "cut" not in asked["prompt"]:
            self.event({"choices": [{"text": ""}], "usage": {"completion_tokens": asked["max_tokens"]}})
        self.chunk("data: [DONE]\\n\\n")
        self.chunk("")

    def event(self, content):
        self.chunk(f"data: {json.dumps(content)}\\n\\n")

    def chunk(self, text):
        self.wfile.write(f"{len(text):x}\\r\\n{text}\\r\\n".encode())

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def cog(lengths, **inputs):
    target = BenchTarget("cog", Project.load(PROJECTS / "load_streams"))
    return CogSystem(target, OPTIONS, inputs, lengths)


def server(code=SERVER, prompt="one two"):
    return ServerSystem(
        name="server",
        argv=lambda port: [sys.executable, "-c", code, str(port)],
        env={},
        cwd=Path.cwd(),
        body=lambda prompt, tokens: {"prompt": prompt, "max_tokens": tokens},
        command="a server",
        prompt=prompt,
        timeout_s=120.0,
    )


def test_a_cog_project_starts_and_streams():
    system = cog((), words=5, pause_s=0.01)
    began = asyncio.run(system.start(note_files=True))
    assert 0 < began.ready_s < began.first_output_s < began.wall_s
    assert sum(one.charged_s for one in began.stages) == pytest.approx(began.wall_s, rel=0.05)
    assert PROJECTS / "load_streams" / "predict.py" in began.files
    one, two = asyncio.run(system.stream(LOAD))
    assert (one.streams, two.streams) == (1, 2)
    assert 0 < one.tokens_per_s < 10 / 0.05  # ten tokens in five words, a hundredth of a second each at least
    assert len(one.first_output_s) == one.requests
    assert min(one.first_output_s) >= 0.01
    # The project takes one at a time: the second client waits for the first one's words.
    assert max(two.first_output_s) > 0.05


def test_another_number_of_tokens_than_asked_for_is_an_error():
    with pytest.raises(WorkerError, match="a request gave 20 tokens, but 10 were requested"):
        asyncio.run(cog(("words",), pause_s=0).stream(LOAD))


def test_a_server_starts_and_streams():
    began = asyncio.run(server().start(note_files=True))
    assert 0 < began.ready_s < began.first_output_s <= began.wall_s
    assert any("socketserver" in path.name for path in began.files)
    one, two = asyncio.run(server().stream(LOAD))
    assert one.requests > 1
    assert one.tokens_per_s > 10
    assert two.streams == 2


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("refuse", "HTTP 503"), ("cut", "the stream ended before the completion did")],
)
def test_a_request_that_fails_is_told(prompt, message):
    with pytest.raises(WorkerError, match=message):
        asyncio.run(server(prompt=prompt).start(note_files=False))


def test_a_server_that_ends_is_told_with_what_it_said():
    with pytest.raises(WorkerCrashedError, match="ended before it was ready") as caught:
        asyncio.run(server("raise SystemExit('no model')").start(note_files=False))
    assert "no model" in caught.value.logs

"""The real Cog server validates with the schema that we write, and answers as the schema says."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.schema_file import ensure_schema, schema_for
from tests.paths import PROJECTS

START_LIMIT_S = 120.0


@contextmanager
def serve(project: Project) -> Iterator[httpx2.Client]:
    """The Cog server, as the README of Cog starts it; ended by its process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        **project.server_environment(),
        "PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COG_LOG_LEVEL": "warn",
    }
    command = ["python", "-m", "cog.server.http", "--host", "127.0.0.1"]
    server = subprocess.Popen(command, cwd=project.root, env=environment, start_new_session=True)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=START_LIMIT_S, trust_env=False) as client:
            _wait_until_ready(client)
            yield client
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_until_ready(client: httpx2.Client) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    pause = threading.Event()
    status = "not listening"
    while time.monotonic() < deadline:
        with suppress(httpx2.TransportError):
            status = client.get("/health-check").json()["status"]
        if status in ("READY", "SETUP_FAILED"):
            break
        pause.wait(0.02)
    assert status == "READY"


def predict(client: httpx2.Client, **inputs: Any) -> httpx2.Response:
    """Asks until the slot of the last prediction is free: it is freed a moment after the answer."""
    deadline = time.monotonic() + START_LIMIT_S
    pause = threading.Event()
    while True:
        response = client.post("/predictions", json={"input": inputs})
        if response.status_code != 409 or time.monotonic() > deadline:
            return response
        pause.wait(0.002)


def data_url(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"


@pytest.fixture(scope="module")
def inputs_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.load(shutil.copytree(PROJECTS / "types_inputs", tmp_path_factory.mktemp("types") / "inputs"))


@pytest.fixture(scope="module")
def inputs(inputs_project: Project) -> Iterator[httpx2.Client]:
    ensure_schema(inputs_project)
    with serve(inputs_project) as client:
        yield client


def test_defaults_arrive_when_only_the_required_input_is_given(inputs: httpx2.Client) -> None:
    answer = predict(inputs, text="hi").json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"] == {
        "text": ["str", "hi"],
        "bare": ["int", 7],
        "count": ["int", 3],
        "ratio": ["float", 0.5],
        "flag": ["bool", True],
        "color": ["str", "red"],
        "size": ["int", 2],
        "code": ["str", "ab-1"],
        "seed": ["NoneType", None],
        "note": ["NoneType", None],
        "tags": ["list", ["a", "b"]],
        "numbers": ["NoneType", None],
        "value": ["NoneType", None],
        "either": ["int", 1],
        "options": ["dict", {"deep": {"er": 1}}],
        "anything": ["dict", {}],
        "messages": ["list", []],
        "foreign": ["list", []],
        "image": ["NoneType", None],
        "images": ["list", []],
        "file": ["NoneType", None],
        "token": ["NoneType", None],
        "old_name": ["str", ""],
    }


def test_every_kind_of_input_arrives_as_its_type(inputs: httpx2.Client) -> None:
    given = {
        "text": "hello",
        "count": 10,
        "ratio": 1.5,
        "flag": False,
        "color": "blue",
        "size": 4,
        "code": "xyz-99",
        "seed": 0,
        "note": "n",
        "tags": [],
        "numbers": [1, 2],
        "value": 2.5,
        "either": [3, 4],
        "options": {"a": [1]},
        "anything": {"b": None},
        "messages": [{"role": "user", "content": "hi"}],
        "foreign": [{"x": 1}],
        "image": data_url("picture"),
        "images": [data_url("one"), data_url("two")],
        "file": data_url("contents"),
        "token": "hidden",
        "old_name": "old",
    }
    answer = predict(inputs, **given).json()
    assert answer["status"] == "succeeded", answer
    output = answer["output"]
    changed = {
        "image": "picture",
        "images": ["one", "two"],
        "file": "contents",
        "token": ["**********", "hidden"],
        "bare": 7,
    }
    assert {name: value for name, (_, value) in output.items()} == {**given, **changed}
    assert output["token"][0] == "Secret"
    assert output["image"][0].endswith("Path")


@pytest.mark.parametrize("value", ["text", 1, 2.5])
def test_a_union_takes_each_of_its_types(inputs: httpx2.Client, value: object) -> None:
    kind, arrived = predict(inputs, text="hi", value=value).json()["output"]["value"]
    assert (kind, arrived) == (type(value).__name__, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 5),
        ("text", None),
        ("text", "x"),
        ("text", "much too long"),
        ("bare", "seven"),
        ("bare", 1.5),
        ("count", 0),
        ("count", 11),
        ("ratio", -0.1),
        ("ratio", 1.6),
        ("flag", "yes"),
        ("color", "pink"),
        ("size", 3),
        ("code", "AB-1"),
        ("seed", "zero"),
        ("seed", None),
        ("tags", "a"),
        ("tags", [1]),
        ("numbers", ["one"]),
        ("value", [1]),
        ("either", "one"),
        ("either", ["one"]),
        ("options", []),
        ("messages", ["hi"]),
        ("image", 1),
        ("images", "one"),
        ("token", 1),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_input(inputs: httpx2.Client, name: str, value: object) -> None:
    response = predict(inputs, **{"text": "hi", name: value})
    assert response.status_code == 422, response.text
    places = [detail["loc"] for detail in response.json()["detail"]]
    assert [place[:2] for place in places] == [["body", "input"]]
    assert places[0][2].split("/")[0] == name


def test_a_missing_input_is_refused_by_its_name(inputs: httpx2.Client) -> None:
    response = predict(inputs, bare=1)
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"loc": ["body", "input", "text"], "msg": "Field required", "type": "value_error.missing"}
    ]


def test_the_server_shows_the_file(inputs: httpx2.Client, inputs_project: Project) -> None:
    shown = inputs.get("/openapi.json").json()
    assert shown == json.loads(ensure_schema(inputs_project).read_text())


def test_any_predictor_answers_with_server_sent_events(inputs: httpx2.Client) -> None:
    headers = {"Accept": "text/event-stream"}
    with inputs.stream("POST", "/predictions", json={"input": {"text": "hi"}}, headers=headers) as response:
        body = response.read().decode()
    assert response.status_code == 200
    assert "event: completed" in body


OBJECT = {"type": "object"}
TEXT = {"type": "string"}
WORDS = {"type": "array", "items": TEXT, "x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}
BOX = {
    "type": "object",
    "properties": {
        "corner_points": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer"}},
            "title": "Corner Points",
        },
        "inner": {"type": "object", "nullable": True, "title": "Inner"},
    },
    "required": ["corner_points"],
}
SCORED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "title": "Label"},
        "score": {"type": "number", "title": "Score"},
        "note": {"type": "string", "nullable": True, "title": "Note"},
        "image": {"type": "string", "format": "uri", "nullable": True, "title": "Image"},
    },
    "required": ["label"],
}
ROW = {
    "type": "object",
    "properties": {"name": {"type": "string", "title": "Name"}, "size": {"type": "integer", "title": "Size"}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("predictor", "schema", "output", "streaming"),
    [
        ("Text", TEXT, "héllo", False),
        ("Number", {"type": "number"}, 1.5, False),
        ("Files", {"type": "array", "items": {**TEXT, "format": "uri"}}, [data_url("one"), data_url("two")], False),
        ("CogModel", SCORED, {"label": "cat", "score": 0.5, "note": None, "image": data_url("picture")}, False),
        (
            "PydanticModels",
            {"type": "array", "items": BOX},
            [{"corner_points": [[0, 1], [2, 3]], "inner": {"corner_points": [], "inner": None}}],
            False,
        ),
        (
            "TypedDicts",
            {"type": "object", "additionalProperties": {"type": "array", "items": ROW}},
            {"rows": [{"name": "a", "size": 1}, {"name": "b"}]},
            False,
        ),
        ("Anything", OBJECT, {"any": [1, None, "x"]}, False),
        ("Hidden", {"type": "array", "items": OBJECT}, [{"a": 1}], False),
        ("Chunks", {"type": "array", "items": {"type": "integer"}, "x-cog-array-type": "iterator"}, [1, 2, 3], False),
        ("Words", WORDS, ["one ", "two"], True),
        ("AsyncChunks", {"type": "array", "items": TEXT, "x-cog-array-type": "iterator"}, ["a", "b"], False),
        ("AsyncWords", WORDS, ["one ", "two"], True),
    ],
)
def test_an_output_is_described_and_comes_back(
    tmp_path: Path, predictor: str, schema: dict[str, Any], output: object, streaming: bool
) -> None:
    root = shutil.copytree(PROJECTS / "types_outputs", tmp_path / "outputs")
    (root / "cog.yaml").write_text(f'run: "predict.py:{predictor}"\n')
    project = Project.load(root)
    document = schema_for(project)
    assert document["components"]["schemas"]["Output"] == {**schema, "title": "Output"}
    assert document["paths"]["/predictions"]["post"].get("x-cog-streaming", False) is streaming
    ensure_schema(project)
    with serve(project) as client:
        answer = predict(client).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"] == output

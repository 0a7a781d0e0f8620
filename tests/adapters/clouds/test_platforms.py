"""The containers' own routes and shapes; the conformance suite in tests/client runs whole predictions through them."""

import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys

import boto3
import httpx2
import pytest
from botocore.exceptions import ClientError

from pilotlight.adapters.clouds import runpod, sagemaker, vertex
from pilotlight.adapters.hosting import Host, usable_id
from pilotlight.errors import ConfigError, SetupFailedError
from pilotlight.runtime import KeeperOptions, Project, RestartPolicy, schema_for
from tests.adapters.fronts import on_a_thread, sagemaker_runtime
from tests.cog.gateway_process import wait_until
from tests.paths import PROJECTS, ROOT


@pytest.fixture(scope="module")
def host():
    with Host(Project.load(PROJECTS / "run_text")) as found:
        yield found


@pytest.fixture(scope="module")
def vertex_url(host):
    with on_a_thread(vertex.create_app(host, vertex.VertexSettings(health_route="/ok", predict_route="/do"))) as url:
        yield url


@pytest.fixture(scope="module")
def sagemaker_url(host):
    with on_a_thread(sagemaker.create_app(host)) as url:
        yield url


def post(url, body, **headers):
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return httpx2.post(url, content=content, headers=headers, timeout=120, trust_env=False)


def test_vertex_answers_all_instances_in_order(vertex_url):
    body = {"instances": [{"prompt": "a"}, "b", {"prompt": "c", "count": 2.0}], "parameters": {"count": 1.0}}
    answer = post(f"{vertex_url}/do", body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": ["a0 ", "b0 ", "c0 c1 "]})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "not JSON"),
        ([1], 400, "an object"),
        ({"instances": []}, 400, "at least one"),
        ({"prompt": "a", "count": 1}, 400, "instances must be a list"),
        ({"instances": [1]}, 400, "an instance must be an object"),
        ({"instances": ["a"], "parameters": 3}, 400, "parameters"),
        ({"instances": [{"prompt": "a", "count": -1}]}, 422, "count"),
        ({"instances": [{"prompt": "a", "count": 1.5}]}, 422, "count"),
        ({"instances": ["a", {"prompt": "b", "mode": "raise"}]}, 500, "boom"),
    ],
)
def test_vertex_names_what_is_wrong(vertex_url, body, status, words):
    answer = post(f"{vertex_url}/do", body)
    # Google's clients take an error apart, and break where it has another form.
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert words in error["message"]
    assert error["status"].isupper()


INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer"}, 2.0, 2),
        ({"type": "integer"}, 2.5, 2.5),
        ({"type": "number"}, 2.0, 2.0),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, 2.0, 2.0),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 2.0, 2),
        (INTEGERS, [1.0, 2.5], [1, 2.5]),
        ({"type": "array", "items": INTEGERS}, [[1.0], []], [[1], []]),
        ({"anyOf": [INTEGERS, {"type": "integer"}]}, [1.0], [1]),
        ({"type": "object", "additionalProperties": INTEGERS}, {"a": [1.0]}, {"a": [1]}),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": 1.0, "x": 1.0}, {"n": 1, "x": 1.0}),
        ({"type": "object"}, {"n": 1.0}, {"n": 1.0}),
        ({}, [1.0], [1.0]),
    ],
)
def test_whole_floats_are_integers_where_only_integers_are_allowed(schema, value, expected):
    found = vertex.whole_numbers(value, schema)
    assert (found, repr(found)) == (expected, repr(expected))


def test_health_is_that_of_the_worker(vertex_url, sagemaker_url, host):
    for url in (f"{vertex_url}/ok", f"{sagemaker_url}/ping"):
        assert httpx2.get(url, trust_env=False).status_code == 200
    post(f"{sagemaker_url}/invocations", {"prompt": "a", "mode": "die"})
    wait_until(lambda: host.ready)
    assert post(f"{sagemaker_url}/invocations", {"prompt": "a", "count": 1}).json() == {"output": "a0 "}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, vertex.VertexSettings(8080, "/health", "/predict")),
        (
            {"AIP_HTTP_PORT": "9", "AIP_HEALTH_ROUTE": "/v1/h", "AIP_PREDICT_ROUTE": "/v1/p"},
            vertex.VertexSettings(9, "/v1/h", "/v1/p"),
        ),
    ],
)
def test_vertex_is_configured_by_its_variables(environ, expected):
    assert vertex.settings_from(environ) == expected


@pytest.mark.parametrize(
    "environ",
    [{"AIP_HTTP_PORT": "0"}, {"AIP_HTTP_PORT": "x"}, {"AIP_HEALTH_ROUTE": "health"}, {"AIP_PREDICT_ROUTE": "p"}],
)
def test_variables_that_make_no_sense_are_named(environ):
    with pytest.raises(ConfigError, match=next(iter(environ))):
        vertex.settings_from(environ)
    with pytest.raises(ConfigError, match="SAGEMAKER_BIND_TO_PORT"):
        sagemaker.port_from({"SAGEMAKER_BIND_TO_PORT": "70000"})


def test_sagemaker_takes_lines_and_a_bad_one_fails_alone(sagemaker_url):
    lines = [{"prompt": "a\u2028", "count": 1}, {"input": {"prompt": "b", "count": 1}}, {"prompt": "c", "count": -1}]
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n"
    answer = post(f"{sagemaker_url}/invocations", body.encode(), **{"Content-Type": "application/jsonlines"})
    good, wrapped, bad = (json.loads(line) for line in answer.text.split("\n") if line)
    assert (good, wrapped) == ({"output": "a\u20280 "}, {"output": "b0 "})
    assert "count" in bad["error"]


def test_sagemaker_takes_rows_below_a_header(sagemaker_url):
    body = 'prompt,count\n"a, b",1\nc,\nd,-1\n'
    answer = post(f"{sagemaker_url}/invocations", body, **{"Content-Type": "text/csv; charset=utf-8"})
    assert answer.headers["content-type"].startswith("text/csv")
    header, first, second, third, _ = answer.text.split("\n")
    assert (header, first, second) == ("output,error", '"a, b0 ",', "c0 c1 c2 ,")
    assert third.startswith(",")
    assert "count" in third


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        ("x", "application/json", 400, "not JSON"),
        ("{}\n{", "application/jsonlines", 400, "line 2"),
        (b"\xff", "application/jsonlines", 400, "UTF-8"),
        ("promt\na\n", "text/csv", 400, r"found \['promt'\]"),
        ("", "text/csv", 400, "first row"),
        ("prompt\n" + "x" * 200_000, "text/csv", 400, "field"),
        ("prompt,count\na,1,2\n", "text/csv", 400, "line 2 has more"),
        ("a", "image/png", 415, "image/png"),
        ('{"count": 1}', "application/json", 422, "prompt"),
    ],
)
def test_sagemaker_names_what_is_wrong(sagemaker_url, body, kind, status, words):
    answer = post(f"{sagemaker_url}/invocations", body, **{"Content-Type": kind})
    assert answer.status_code == status
    assert re.search(words, answer.json()["error"])


@pytest.mark.parametrize("platform", ["vertex", "sagemaker"])
def test_a_caller_who_hangs_up_frees_the_slot(vertex_url, sagemaker_url, platform):
    url = {"vertex": f"{vertex_url}/do", "sagemaker": f"{sagemaker_url}/invocations"}[platform]

    def body(**inputs):
        return {"instances": [inputs]} if platform == "vertex" else inputs

    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(url, json=body(prompt="a", count=2, pause_s=600), timeout=0.5, trust_env=False)
    assert post(url, body(prompt="b", count=1)).status_code == 200


def test_boto3_invokes_and_sees_the_containers_own_words(sagemaker_url):
    settings = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-west-1"}
    with on_a_thread(sagemaker_runtime(sagemaker_url, "e")) as url:
        client = boto3.client("sagemaker-runtime", endpoint_url=url, **settings)
        body = json.dumps({"prompt": "a", "count": 1}).encode()
        answer = client.invoke_endpoint(EndpointName="e", ContentType="application/json", Body=body)
        assert json.loads(answer["Body"].read()) == {"output": "a0 "}
        with pytest.raises(ClientError) as caught:
            client.invoke_endpoint(EndpointName="e", ContentType="application/json", Body=b'{"prompt": 5}')
        assert caught.value.response["OriginalStatusCode"] == 422
        client.close()


def test_a_project_that_does_not_come_up_says_why():
    options = KeeperOptions(restarts=RestartPolicy(give_up_after=1))
    with pytest.raises(SetupFailedError), Host(Project.load(PROJECTS / "run_broken"), keeper_options=options):
        pass


def test_runpod_keeps_what_its_loop_would_take():
    assert runpod.keep({"error": "of mine"}) == {"output": {"error": "of mine"}}
    assert runpod.keep({"a": 1}) == {"a": 1}
    assert runpod.inputs_of({"input": {"a": None, "b": 0}}) == {"b": 0}
    assert runpod.inputs_of({"input": "text"}) == {}


@pytest.mark.parametrize(("given", "used"), [("job-1-e1", "job-1-e1"), ("sync/é:1", "sync---1"), ("-_x", "x")])
def test_ids_that_cog_would_not_take_are_changed(given, used):
    assert usable_id(given) == used
    assert usable_id("///")


def image_settings(platform):
    """The variables and the command of an image recipe."""
    text = (ROOT / "images" / f"{platform}.Dockerfile").read_text()
    found = dict(re.findall(r"^(ENV|ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE))
    return {
        "ENV": dict(pair.split("=") for pair in found["ENV"].split()),
        "ENTRYPOINT": json.loads(found["ENTRYPOINT"]),
        "CMD": json.loads(found["CMD"]),
    }


@pytest.mark.parametrize("platform", ["runpod", "vertex", "sagemaker"])
def test_every_platform_has_an_image_that_serves_on_it(platform):
    settings = image_settings(platform)
    assert settings["ENV"] == {"PILOTLIGHT_SERVE_ON": platform, "PILOTLIGHT_SERVE_HOST": "0.0.0.0"}
    assert settings["ENTRYPOINT"][-2:] + settings["CMD"] == ["-m", "pilotlight", "serve"]


def test_runpods_image_has_the_release_that_is_tested_here():
    recipe = (ROOT / "images" / "runpod.Dockerfile").read_text()
    assert f"runpod=={importlib.metadata.version('runpod')}" in recipe


@pytest.mark.parametrize("name", ["hub", "tests"])
def test_runpods_hub_files_name_what_there_is(name):
    document = json.loads((ROOT / ".runpod" / f"{name}.json").read_text())
    known = schema_for(Project.load(ROOT))["components"]["schemas"]["Input"]["properties"]
    for one in document.get("tests", []):
        assert one["input"].keys() <= known.keys()
    assert all(one["key"].startswith("PILOTLIGHT_") for one in document["config"]["env"])


def test_a_container_ends_at_sigterm_after_what_it_runs():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = [sys.executable, "-m", "pilotlight"]
    process = subprocess.Popen(
        [*program, *image_settings("sagemaker")["CMD"], "--project", str(PROJECTS / "run_text")],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            **image_settings("sagemaker")["ENV"],
            "PILOTLIGHT_SERVE_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(port),
        },
    )
    try:
        assert any("sagemaker container at" in line for line in process.stderr)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/ping"))
        body = json.dumps({"prompt": "a", "count": 5, "pause_s": 0.2})
        headers = {"Accept": "application/jsonlines"}
        with httpx2.stream("POST", f"{url}/invocations", content=body, headers=headers, trust_env=False) as answer:
            lines = answer.iter_lines()
            assert next(lines) == '{"output": "a0 "}'
            process.send_signal(signal.SIGTERM)
            *chunks, end = lines
        assert len(chunks) == 4
        assert json.loads(end)["end"]["status"] == "succeeded"
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait(120)
        process.stderr.close()


def _answers(url):
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False

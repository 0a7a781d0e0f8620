"""Inputs that are URLs."""

import asyncio
import gzip

import httpx2
import pytest

from pilotlight.errors import InputError
from pilotlight.gateway import EgressClient, EgressPolicy, Files, Inputs, Store
from tests.gateway.made import Fakes, made_version, run, served
from tests.gateway.receiver import answer, receiving

HERE = EgressPolicy.of(["127.0.0.1"])
FILE = {"type": "string", "format": "uri"}
DOCUMENT = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {
                    "source": FILE,
                    "more": {"type": "array", "items": FILE},
                    "text_or_file": {"anyOf": [{"type": "string"}, FILE]},
                    "prompt": {"type": "string"},
                },
            },
            "Output": {},
        }
    }
}


def with_receiver(path, scenario, fakes, *, networks=("127.0.0.1",)):
    async def whole():
        versions = [made_version(document=DOCUMENT)]
        async with (
            receiving() as receiver,
            served(path, allow_networks=networks, fakes=fakes, versions=versions) as client,
        ):
            return await scenario(client, receiver)

    return run(whole())


async def predict(client, **inputs):
    return await client.post(
        "/v1/models/local/model1/predictions", json={"input": inputs}, headers={"Prefer": "wait=30"}
    )


def recorded(fakes):
    """Fakes that keep what their workers were given."""
    seen = []
    fakes.options["answer"] = lambda inputs: seen.append(inputs) or ["done"]
    return seen


def test_a_worker_is_never_given_a_callers_url(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)

    async def scenario(client, receiver):
        receiver.answers["/poem.txt"] = answer(302, Location="/moved")
        receiver.answers["/moved"] = answer(200, b"one\ntwo\n", Content_Type="text/plain")
        urls = {"source": receiver.url("/poem.txt"), "more": [receiver.url("/a%20b.png"), "data:,x"]}
        shown = (await predict(client, **urls, prompt=receiver.url("/not-a-file"))).json()
        assert (shown["status"], shown["input"]) == ("succeeded", {**urls, "prompt": receiver.url("/not-a-file")})
        base = str(client.base_url).rstrip("/")
        assert given[0]["source"].startswith(f"{base}/v1/files/")
        assert given[0]["source"].endswith("/poem.txt")
        assert given[0]["more"][0].endswith("/a-b.png")
        assert (given[0]["more"][1], given[0]["prompt"]) == ("data:,x", receiver.url("/not-a-file"))
        assert [one.path for one in receiver.received] == ["/poem.txt", "/moved", "/a%20b.png"]
        assert (await client.get(given[0]["source"])).status_code == 404
        assert list((tmp_path / "files").iterdir()) == []

    with_receiver(tmp_path, scenario, fakes)


def test_what_is_stored_compressed_is_read_as_it_was(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)
    fakes.hold()

    async def scenario(client, receiver):
        receiver.answers["/a.txt"] = answer(200, gzip.compress(b"plain text body"), Content_Encoding="gzip")
        running = asyncio.create_task(predict(client, source=receiver.url("/a.txt")))
        while not given:  # noqa: ASYNC110 - a fake worker tells nobody
            await asyncio.sleep(0.005)
        assert (await client.get(given[0]["source"])).content == b"plain text body"
        fakes.release()
        await running
        receiver.answers["/b.txt"] = answer(200, b"x", Content_Encoding="br")
        failed = (await predict(client, source=receiver.url("/b.txt"))).json()
        assert (failed["status"], "Content-Encoding is 'br'" in failed["error"]) == ("failed", True)

    with_receiver(tmp_path, scenario, fakes)


def test_while_it_runs_what_was_fetched_is_where_the_worker_is_told(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)
    fakes.hold()

    async def scenario(client, receiver):
        receiver.answers["/a.bin"] = answer(200, bytes(3_000_000), Content_Type="application/x-a")
        running = asyncio.create_task(predict(client, source=receiver.url("/a.bin")))
        while not given:  # noqa: ASYNC110 - a fake worker tells nobody
            await asyncio.sleep(0.005)
        read = await client.get(given[0]["source"])
        assert (len(read.content), read.headers["content-type"]) == (3_000_000, "application/x-a")
        assert (await client.get("/v1/files")).json()["results"] == []
        fakes.release()
        assert (await running).json()["status"] == "succeeded"

    with_receiver(tmp_path, scenario, fakes)


def test_an_upload_is_handed_on_as_it_is_under_whatever_name_its_url_has(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)

    async def scenario(client, _):
        files = {"content": ("a.txt", b"text")}
        uploaded = (await client.post("/v1/files", files=files, headers={"Authorization": "Bearer any"})).json()
        url = uploaded["urls"]["get"]
        path = httpx2.URL(url).path
        shown = await predict(client, source=url, more=[f"https://gateway.example{path}"])
        assert (shown.json()["status"], given[0]) == ("succeeded", {"source": url, "more": [url]})
        forged = path.replace(path.split("/")[4], "x" * 32)
        shown = (await predict(client, source=f"http://127.0.0.1:1{forged}")).json()
        assert (shown["status"], "not a public address" in shown["error"]) == ("failed", True)

    with_receiver(tmp_path, scenario, fakes, networks=())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"source": "http://127.0.0.1:1/"}, "not a public address"),
        ({"source": "http://169.254.169.254/latest/meta-data/"}, "not a public address"),
        ({"more": ["data:,x", "http://[::1]/"]}, "not a public address"),
        ({"text_or_file": "http://10.0.0.1/"}, "not a public address"),
        ({"text_or_file": " ht\ntp://10.0.0.1/"}, "without spaces"),
        ({"source": "/etc/passwd"}, "no http:, https: or data: URL"),
        ({"source": "file:///etc/passwd"}, "no http:, https: or data: URL"),
        ({"more": ["../secret"]}, "no http:, https: or data: URL"),
    ],
)
def test_what_leads_inside_is_refused_at_once(tmp_path, inputs, words):
    fakes = Fakes()

    async def scenario(client, _):
        answer = await predict(client, **inputs)
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
        assert answer.json()["invalid_fields"][0]["field"] == f"input.{next(iter(inputs))}"

    with_receiver(tmp_path, scenario, fakes, networks=())


def test_text_that_may_be_a_file_stays_text(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)

    async def scenario(client, _):
        await predict(client, text_or_file="/etc/passwd is a path")
        assert given == [{"text_or_file": "/etc/passwd is a path"}]

    with_receiver(tmp_path, scenario, fakes)


def test_what_cannot_be_fetched_fails_the_prediction_and_says_why(tmp_path):
    fakes = Fakes()
    given = recorded(fakes)

    async def scenario(client, receiver):
        receiver.answers["/inside"] = answer(302, Location="http://127.0.0.2/")
        receiver.answers["/missing"] = answer(404)
        for path, words in (("/inside", "127.0.0.2 is not a public address"), ("/missing", "HTTP 404")):
            shown = (await predict(client, source=receiver.url(path))).json()
            assert shown["status"] == "failed"
            assert shown["error"].startswith("source: ")
            assert words in shown["error"]
        assert given == []
        assert not (tmp_path / "files").exists() or list((tmp_path / "files").iterdir()) == []

    with_receiver(tmp_path, scenario, fakes)


def test_what_is_too_large_is_not_kept(tmp_path):
    async def scenario():
        async with receiving() as receiver, EgressClient(HERE) as egress, Store(tmp_path / "s", to_disk=False) as store:
            receiver.answers["/big"] = answer(200, bytes(2_000_001))
            files = Files(tmp_path / "files", store, lambda: 0.0)
            inputs = Inputs(files, egress, "http://gateway", most_bytes=2_000_000)
            version = made_version(document=DOCUMENT)
            with pytest.raises(InputError, match="source: the file is larger than 2,000,000 bytes"):
                async with inputs.ready(version, {"source": receiver.url("/big")}):
                    raise AssertionError
            assert list((tmp_path / "files").iterdir()) == []

    run(scenario())

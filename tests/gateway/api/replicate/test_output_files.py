"""Files in outputs: as they are, or by URLs for callers over TLS."""

import asyncio
import base64
from urllib.parse import urlsplit

import replicate
from replicate.helpers import FileOutput, transform_output

from pilotlight.gateway.api.replicate.output_files import OutputFile, file_of, output_for
from tests.gateway.made import Fakes, made_record, run, served

PNG = "data:image/png;base64," + base64.b64encode(b"png").decode()
TEXT = "data:text/plain;charset=utf-8;base64," + base64.b64encode("é".encode()).decode()
PUBLIC = "https://models.example/gw"


def test_callers_over_tls_get_a_url_for_each_file():
    record = made_record(output=[PNG, {"b": TEXT, "a": "text"}, "data:,x", 5, None])
    assert output_for(record, "http://127.0.0.1:1") == record.output
    first, second, *others = output_for(record, PUBLIC)
    prefix, _, name = first.rpartition("/")
    assert (name, second["b"]) == ("0.png", f"{prefix}/1.txt")
    assert prefix.startswith(f"{PUBLIC}/v1/predictions/a/files/")
    assert (second["a"], *others) == ("text", "data:,x", 5, None)
    assert file_of(record.output, 0) == OutputFile("image/png", b"png")
    assert file_of(record.output, 1) == OutputFile("text/plain", "é".encode())
    assert file_of(record.output, 2) is None
    # The secret is of this prediction, and is not that of its stream.
    other = output_for(made_record(output=PNG, stream_key="other"), PUBLIC)
    assert other.rpartition("/")[0] != prefix
    assert record.stream_key not in first


def test_what_is_no_base64_is_no_file():
    assert file_of("data:image/png;base64,a", 0) is None
    assert output_for(made_record(output=None), PUBLIC) is None


def test_a_file_of_an_output_is_fetched_by_its_url_alone(tmp_path):
    async def scenario(client):
        headers = {"Authorization": "Bearer t"}
        created = await client.post(
            "/v1/models/local/model1/predictions",
            json={"input": {"prompt": "a"}},
            headers={**headers, "Prefer": "wait"},
        )
        shown = created.json()
        (url,) = shown["output"]
        assert url.startswith(f"{PUBLIC}/v1/predictions/{shown['id']}/files/")
        assert shown["urls"]["get"] == f"{PUBLIC}/v1/predictions/{shown['id']}"
        # With and without the prefix, as the proxy before it may leave it on or not.
        for path in (urlsplit(url).path, urlsplit(url).path.removeprefix("/gw")):
            answer = await client.get(path)
            assert (answer.content, answer.headers["content-type"]) == (b"png", "image/png")
            assert "sandbox" in answer.headers["content-security-policy"]
        for wrong in ("/1.png", "/x", "/0000000.png"):
            assert (await client.get(urlsplit(url).path.replace("/0.png", wrong))).status_code == 404
        assert (await client.get("/gw/v1/predictions/none/files/x/0.png")).status_code == 404
        moved = await client.get("/gw/v1/models/?x=1", headers=headers)
        assert (moved.status_code, moved.headers["location"]) == (307, "/gw/v1/models?x=1")
        assert (await client.get("/gw")).headers["location"] == "/gw/"
        await asyncio.to_thread(found_by_their_client, client, shown["output"])

    def found_by_their_client(client, output):
        (file,) = transform_output(output, replicate.Client(api_token="t", base_url=str(client.base_url)))
        assert isinstance(file, FileOutput)

    async def whole():
        options = {"fakes": Fakes(answer=lambda inputs: [PNG]), "public_url": f"{PUBLIC}/", "token": "t"}
        async with served(tmp_path, **options) as client:
            await scenario(client)

    run(whole())

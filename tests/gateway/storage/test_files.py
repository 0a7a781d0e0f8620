"""Uploads."""

import base64
import hmac
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway import Files, Store
from pilotlight.gateway.storage.files import KEPT_S, safe_name
from tests.gateway.made import run, served

AUTHORIZED = {"Authorization": "Bearer any"}


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


async def upload(client, name="my photo.png", content=b"bytes", headers=AUTHORIZED, **data):
    files = {"content": (name, content, "image/png")}
    return await client.post("/v1/files", files=files, data=data, headers=headers)


def test_an_upload_can_be_read_listed_and_deleted(tmp_path):
    async def scenario(client):
        answer = await upload(client, metadata='{"a": 1}')
        shown = answer.json()
        assert answer.status_code == 201
        assert (shown["name"], shown["content_type"], shown["size"]) == ("my-photo.png", "image/png", 5)
        assert (shown["metadata"], shown["etag"]) == ({"a": 1}, "4b3a6218bb3e3a7303e8a171a60fcf92")
        assert len(shown["checksums"]["sha256"]) == 64
        assert shown["urls"]["get"].endswith("/my-photo.png")
        assert (await client.get(f"/v1/files/{shown['id']}")).json() == shown
        other = (await upload(client, content=b"")).json()
        assert [one["id"] for one in (await client.get("/v1/files")).json()["results"]] == [other["id"], shown["id"]]
        read = await client.get(shown["urls"]["get"])
        assert (read.content, read.headers["content-type"]) == (b"bytes", "image/png")
        assert read.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in read.headers["content-security-policy"]
        assert (await client.delete(f"/v1/files/{shown['id']}")).status_code == 204
        for gone in (client.get(shown["urls"]["get"]), client.delete(f"/v1/files/{shown['id']}")):
            assert (await gone).status_code == 404
        assert [path.name for path in (tmp_path / "files").iterdir()] == [other["id"]]

    over_http(tmp_path, scenario)


def test_name_and_type_may_be_fields_of_the_form_as_newer_clients_send_them(tmp_path):
    async def scenario(client):
        shown = (await upload(client, name="upload", filename="poem.txt", type="text/plain")).json()
        assert (shown["name"], shown["content_type"]) == ("poem.txt", "text/plain")
        for wrong in ("text", "text/plain\r\nSet-Cookie: a=b", "text/plain\u00e9"):
            assert (await upload(client, type=wrong)).status_code == 422
        assert len((await client.get("/v1/files")).json()["results"]) == 1

    over_http(tmp_path, scenario)


def test_its_url_is_its_only_secret(tmp_path):
    async def scenario(client):
        headers = {"Authorization": "Bearer t"}
        shown = (await upload(client, headers=headers)).json()
        url = shown["urls"]["get"]
        assert (await client.get(url)).content == b"bytes"
        head, key, name = url.rsplit("/", 2)
        for wrong in (f"{head}/x{key}/{name}", f"{head}/{key}/other.png", f"{head}/{key}/..%2F{name}"):
            assert (await client.get(wrong)).status_code in (401, 404)
        assert (await client.get(f"/v1/files/{shown['id']}")).status_code == 401
        assert (await upload(client, headers={"Authorization": "Bearer x"})).status_code == 401

    over_http(tmp_path, scenario, token="t")


def test_a_download_is_signed_with_the_secret_of_webhooks_and_expires(tmp_path):
    now = [1000.0]

    async def scenario(client):
        shown = (await upload(client, headers={"Authorization": "Bearer t"})).json()
        secret = client.services.dispatcher.secret

        async def download(owner="local", expiry="1060", signed=None):
            key = base64.b64decode(secret.removeprefix("whsec_"))
            text = f"{owner} {shown['id']} {expiry}" if signed is None else signed
            signature = base64.b64encode(hmac.new(key, text.encode(), "sha256").digest()).decode()
            query = {"owner": owner, "expiry": expiry, "signature": signature}
            return await client.get(f"/v1/files/{shown['id']}/download", params=query)

        assert (await download()).content == b"bytes"
        for wrong in ({"owner": "other"}, {"expiry": "999"}, {"expiry": "x"}, {"signed": "local x 1060"}):
            assert (await download(**wrong)).status_code == 404
        assert (await client.get(f"/v1/files/{shown['id']}/download")).status_code == 404
        now[0] = 1061.0
        assert (await download()).status_code == 404

    over_http(tmp_path, scenario, token="t", clock=lambda: now[0])


def test_what_is_no_upload_is_refused_and_leaves_nothing(tmp_path):
    async def scenario(client):
        assert (await upload(client, headers={})).status_code == 415
        assert (await upload(client, content=bytes(3000))).status_code == 413
        wrong = await upload(client, metadata="[1]")
        assert (wrong.status_code, "metadata is not a JSON object" in wrong.json()["detail"]) == (422, True)
        wrong = await client.post("/v1/files", files={"other": b"x"}, headers=AUTHORIZED)
        assert (wrong.status_code, "part content" in wrong.json()["detail"]) == (422, True)
        headers = {**AUTHORIZED, "Content-Type": "multipart/form-data"}
        wrong = await client.post("/v1/files", content=b"no boundary", headers=headers)
        assert (wrong.status_code, "form cannot be read" in wrong.json()["detail"]) == (400, True)
        assert not (tmp_path / "files").exists()

    over_http(tmp_path, scenario, max_body_bytes=2000)


def test_uploads_end_after_a_day_and_unfinished_ones_with_the_next_gateway(tmp_path):
    now = [1000.0]

    async def scenario():
        async with Store(tmp_path / "s.sqlite3", to_disk=False) as store:
            files = Files(tmp_path / "files", store, lambda: now[0])
            first = await files.add(io.BytesIO(b"1"), "a.txt", "text/plain", {})
            now[0] += KEPT_S - 1
            assert await files.get(first.id) == first
            second = await files.add(io.BytesIO(b"2"), "b.txt", "text/plain", {})
            now[0] += 1
            assert await files.get(first.id) is None
            assert await files.all() == [second]
            (tmp_path / "files" / "unfinished").mkdir()
            await files.open()
            assert [path.name for path in (tmp_path / "files").iterdir()] == [second.id]
            assert files.path(second).read_bytes() == b"2"

    run(scenario())


class Breaks(io.RawIOBase):
    """Ends too early."""

    def read(self, size=-1):
        raise OSError


def test_what_cannot_be_read_to_its_end_leaves_nothing(tmp_path):
    async def scenario():
        async with Store(tmp_path / "s.sqlite3", to_disk=False) as store:
            files = Files(tmp_path / "files", store, lambda: 0.0)
            with pytest.raises(OSError):
                await files.add(Breaks(), "a", "text/plain", {})
            assert list((tmp_path / "files").iterdir()) == []

    run(scenario())


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("photo.png", "photo.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\tmp\\a b.tar.gz", "a-b.tar.gz"),
        ("..", "file"),
        ("über.txt", "ber.txt"),
        ("файл.png", "file.png"),
        ("写真.tar.gz", "tar.gz"),
        ("\U0001f600.jpg", "file.jpg"),
        ("a.фото", "a"),
        (".bashrc", "bashrc"),
        ("name.", "name"),
        ("-.png", "file.png"),
        ("Makefile", "Makefile"),
        (f"{'x' * 300}.png", f"{'x' * 100}.png"),
    ],
)
def test_names_keep_their_suffix_and_nothing_else_of_danger(given_name, expected):
    assert safe_name(given_name) == expected


@given(st.text())
def test_every_name_is_one_part_of_a_path(text):
    name = safe_name(text)
    assert 0 < len(name) < 210
    assert name not in (".", "..")
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

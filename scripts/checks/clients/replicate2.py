"""What programs do with release 2 of the Python package `replicate`, against a gateway; see ../check_clients.py.

One line for each check: `ok NAME` or `FAILED NAME: why`.
"""

import asyncio
import io
import os
import sys
import threading
import warnings

import replicate
from replicate import AsyncReplicate, Replicate
from replicate.exceptions import ModelError, NotFoundError, UnprocessableEntityError

TEXT = "local/run_text"
os.environ |= {"REPLICATE_API_TOKEN": "any", "REPLICATE_BASE_URL": f"{sys.argv[1]}/v1"}  # for `replicate.use`
client = Replicate()


def raised(kind, call):
    """What it raises, which has to be of that kind."""
    try:
        found = call()
    except kind as error:
        return str(error)
    raise AssertionError(f"{found!r} instead of {kind.__name__}")


def create(**inputs):
    return client.models.predictions.create(model_owner="local", model_name="run_text", input=inputs)


def version_of(model):
    owner, name = model.split("/")
    return client.models.get(model_owner=owner, model_name=name).latest_version.id


def run():
    assert client.run(TEXT, input={"prompt": "a"}) == ["a0 ", "a1 ", "a2 "]
    assert list(client.run(f"{TEXT}:{version_of(TEXT)}", input={"prompt": "b", "count": 1})) == ["b0 "]
    assert list(client.run(TEXT, input={"prompt": "c", "count": 1}, wait=False)) == ["c0 "]
    assert list(client.run(TEXT, input={"prompt": "d", "count": 2, "pause_s": 0.9}, wait=1)) == ["d0 ", "d1 "]


def run_asynchronously():
    async def scenario():
        async with AsyncReplicate() as theirs:
            return list(await theirs.run(TEXT, input={"prompt": "a", "count": 1}))

    assert asyncio.run(scenario()) == ["a0 "]


def errors():
    assert "boom" in raised(ModelError, lambda: client.run(TEXT, input={"prompt": "a", "mode": "raise"}))
    assert "input.count: -1" in raised(UnprocessableEntityError, lambda: create(prompt="a", count=-1))
    raised(NotFoundError, lambda: client.predictions.get(prediction_id="none"))


def stream():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert list(replicate.stream(TEXT, input={"prompt": "one\ntwo ", "count": 2})) == ["one\ntwo 0 ", "one\ntwo 1 "]
    assert list(replicate.use(TEXT, streaming=True)(prompt="a", count=2)) == ["a0 ", "a1 "]


def use():
    assert str(replicate.use(TEXT)(prompt="a", count=2)) == "a0 a1 "
    assert replicate.use("local/run_values")(kind="object", text="x") == {"text": "x", "length": 1}


def wait_and_get():
    created = create(prompt="a", count=1)
    assert (created.status, created.model) == ("starting", TEXT)
    assert client.predictions.wait(created.id).output == ["a0 "]
    assert client.predictions.get(prediction_id=created.id).status == "succeeded"
    waited = client.predictions.create(version=version_of(TEXT), input={"prompt": "a", "count": 1}, prefer="wait=30")
    assert waited.status == "succeeded"


def cancel():
    created = create(prompt="a", pause_s=60)
    while client.predictions.get(prediction_id=created.id).status == "starting":
        threading.Event().wait(0.05)
    client.predictions.cancel(prediction_id=created.id)
    assert client.predictions.wait(created.id).status == "canceled"


def lists():
    assert len([one.id for one in client.predictions.list()]) > 3
    assert "run_text" in [one.name for one in client.models.list()]
    versions = client.models.versions.list(model_owner="local", model_name="run_text")
    assert [one.id for one in versions] == [version_of(TEXT)]
    assert client.hardware.list()[0].sku == "local"
    assert client.account.get().username == "local"
    assert list(client.collections.list()) == []
    assert list(client.trainings.list()) == []


def deployments():
    names = {"deployment_owner": "local", "deployment_name": "run_text"}
    assert client.deployments.get(**names).current_release.model == TEXT
    created = client.deployments.predictions.create(**names, input={"prompt": "a", "count": 1})
    assert client.predictions.wait(created.id).status == "succeeded"


def files():
    for strategy in ("url", "base64"):
        source = io.BytesIO(b"one\ntwo\n")
        (copy,) = client.run("local/run_files", input={"source": source}, file_encoding_strategy=strategy)
        assert copy.read() == b"one\ntwo\n"
    created = client.files.create(content=b"abc", filename="abc.txt", metadata='{"a": 1}')
    assert (created.size, created.name, created.metadata) == (3, "abc.txt", {"a": 1})
    assert created.id in [one.id for one in client.files.list()]
    assert client.files.get(file_id=created.id).checksums.sha256 == created.checksums.sha256
    client.files.delete(file_id=created.id)
    raised(NotFoundError, lambda: client.files.get(file_id=created.id))


if __name__ == "__main__":
    for check in (run, run_asynchronously, errors, stream, use, wait_and_get, cancel, lists, deployments, files):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a client is a line
            print(f"FAILED {check.__name__}: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        else:
            print(f"ok {check.__name__}", flush=True)

"""``pilotlight deployment`` as a command."""

import json

import pytest

from pilotlight.cli import run
from tests.gateway.registered import MODEL, id_of, registered


@pytest.fixture
def deployment(capsys, tmp_path):
    registered(tmp_path, 1, 2)

    def call(*args):
        status = run(["deployment", *args, "--home", str(tmp_path)])
        return status, *capsys.readouterr()

    return call


def test_it_is_created_changed_listed_shown_and_deleted(deployment):
    assert "There is no deployment yet" in deployment("list")[1]
    status, made, _ = deployment("create", "chat", "--model", MODEL, "--max", "3", "--json")
    assert (status, json.loads(made)["traffic"]) == (0, [{"version": id_of(2), "weight": 1.0}])  # the current version
    traffic = ("--traffic", f"{id_of(1)[:8]}=95%", "--traffic", f"{id_of(2)[:8]}=5")
    status, changed, _ = deployment("set", "local/chat", *traffic, "--sticky", "header:X-User", "--min", "1")
    assert status == 0
    assert "local/chat: acme/hello, release 2" in changed
    assert "1 to 3 workers; requests stay on one version by header:X-User" in changed
    assert [line.split() for line in changed.splitlines()[-2:]] == [
        [id_of(1)[:12], "95", "%", "95"],
        [id_of(2)[:12], "5", "%", "5"],
    ]
    assert deployment("show", "chat")[1] == changed
    assert f"{id_of(1)[:12]} 95 %, {id_of(2)[:12]} 5 %" in deployment("list")[1]
    (listed,) = json.loads(deployment("list", "--json")[1])
    assert (listed["deployment"], listed["release"], listed["sticky"]) == ("local/chat", 2, "header:X-User")
    assert json.loads(deployment("set", "chat", "--version", id_of(1), "--json")[1])["release"] == 3
    assert deployment("delete", "chat")[0] == 0
    assert deployment("show", "chat")[0] == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "acme/none"), "acme/none"),
        (("--model", MODEL, "--version", "ffff"), "has no version 'ffff'"),
        (("--model", MODEL, "--traffic", "0001"), "give VERSION=WEIGHT"),
        (("--model", MODEL, "--traffic", "0001=0"), "a weight above 0"),
        (("--model", MODEL, "--traffic", "0001=inf"), "a weight above 0"),
        (("--model", MODEL, "--traffic", "0001=1", "--traffic", "0001=2"), "is given twice"),
        (("--model", MODEL, "--traffic", "0001=1", "--version", "0002"), "Give either --version"),
        (("--model", MODEL, "--sticky", "user"), "give header:NAME"),
        (("--model", MODEL, "--min", "3", "--max", "2"), "At least 3 and at most 2"),
    ],
)
def test_what_cannot_be_is_a_usage_error(deployment, args, words):
    status, out, said = deployment("create", "chat", *args)
    assert (status, out, words in said) == (2, "", True), said


def test_a_name_that_is_none_or_is_taken(deployment):
    assert deployment("create", "A chat", "--model", MODEL)[0] == 2
    assert deployment("create", "chat", "--model", MODEL)[0] == 0
    status, _, said = deployment("create", "chat", "--model", MODEL)
    assert (status, "there is a deployment local/chat already" in said) == (2, True)

"""``pilotlight push``, ``versions``, ``rollback`` and ``gc``. tests/cog/test_push_live.py has them beside a gateway."""

import json
import shutil

import pytest

from tests.cog.pushed import pilotlight, variant
from tests.gateway.registered import MODEL, id_of, registered
from tests.paths import PROJECTS


@pytest.fixture
def call(capsys, tmp_path):
    """Calls a command with the home ``tmp_path/home``; its status, stdout and stderr."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*args):
        return pilotlight(capsys, *args, "--home", home)

    run.home = home
    return run


def test_pushed_twice_and_then_changed(call, tmp_path, capsys):
    project = variant(tmp_path, "old")
    status, out, err = call("push", project, MODEL)
    assert (status, err) == (0, "")
    assert out.startswith(f"{MODEL}:")
    assert out.endswith("is current now, the first version (2 files, 1.9 kB)\n")
    assert call("push", project, MODEL)[1].endswith("already (2 files, 1.9 kB): nothing has changed.\n")
    predictor = project / "predict.py"
    predictor.write_text(predictor.read_text().replace("le=200_000", "le=100"))
    status, out, err = call("push", project, MODEL)
    assert (status, out) == (2, "")
    assert "input count: its maximum went from 200000 to 100\nChange that, or push with --allow-breaking." in err
    status, out, err = call("push", project, MODEL, "--allow-breaking", "--json")
    pushed = json.loads(out)
    assert (status, pushed["new"], pushed["files"]) == (0, True, 2)
    assert pushed["breaks"] == [{"where": "input count", "what": "its maximum went from 200000 to 100"}]
    (model,) = json.loads(call("versions", "--json")[1])
    assert model == {"model": MODEL, "current": pushed["version"], "versions": 2}


def test_the_folder_and_the_name_may_be_left_out(call, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(PROJECTS / "run_text", project, ignore=shutil.ignore_patterns(".cog"))
    with (project / "cog.yaml").open("a") as config:
        config.write("image: r8.im/acme/own\n")
    monkeypatch.chdir(project)
    assert call("push")[1].startswith("acme/own:")
    assert call("push", "acme/other")[1].startswith("acme/other:")
    assert call("push", project)[1].startswith("acme/own:")
    assert len(json.loads(call("versions", "--json")[1])) == 2
    (version,) = (call.home / "versions").iterdir()
    assert len(version.name) == 64


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["push", "nowhere/at/all"], "is not a folder"),
        (["push", PROJECTS / "run_text"], "give the name to push to as owner/name"),
        (["push", PROJECTS / "run_text", "Acme"], "give owner/name"),
        (["push", "a", "b/c", "d"], "3 names: give a folder and an owner/name"),
        (["versions", "acme/none"], "there is no model acme/none here"),
        (["versions", "--delete", "abc"], "--delete needs the OWNER/NAME"),
        (["versions", MODEL, "--delete", "f"], "has no version 'f'"),
        (["versions", MODEL, "--delete", "0"], "'0' begins 2 versions"),
        (["rollback", "acme/none"], "there is no model acme/none here"),
        (["rollback", MODEL, id_of(2)], "is the current version of acme/hello already"),
    ],
)
def test_what_cannot_work_is_one_message(call, args, words):
    registered(call.home, 1, 2)
    status, out, err = call(*args)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_a_home_that_cannot_be_used(capsys, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = pilotlight(capsys, "versions", "--home", tmp_path / "file" / "home")
    assert (status, "cannot be used: Not a directory; choose another --home" in err) == (2, True)


def test_versions_and_their_history(call):
    assert call("versions")[1] == "Nothing has been pushed yet: pilotlight push DIR owner/name\n"
    registry = registered(call.home, 1, 2)
    registry.roll_back(MODEL, None, now=200.0)
    lines = [line.split() for line in call("versions")[1].splitlines()]
    assert lines == [["model", "current", "versions"], [MODEL, id_of(1)[:12], "2"]]
    found = json.loads(call("versions", MODEL, "--json")[1])
    assert [one["id"] for one in found["versions"]] == [id_of(2), id_of(1)]
    assert [(one["version"], one["how"]) for one in found["history"]] == [
        (id_of(1), "push"),
        (id_of(2), "push"),
        (id_of(1), "rollback"),
    ]
    assert found["current"] == id_of(1)
    versions, history = call("versions", MODEL)[1].split("\n\n")
    assert [line.split()[0] for line in versions.splitlines()] == ["version", id_of(2)[:12], id_of(1)[:12]]
    assert [line.split()[1] for line in versions.splitlines()].count("current") == 1
    assert [line.split()[-1] for line in history.splitlines()] == ["by", "rollback", "push", "push"]


def test_back_and_forth(call):
    registered(call.home, 1, 2)
    short = [id_of(number)[:12] for number in (0, 1, 2)]
    assert call("rollback", MODEL)[1] == f"{MODEL}:{short[1]} is current now, in place of {short[2]}\n"
    status, out, _ = call("rollback", MODEL, id_of(2), "--json")
    assert (status, json.loads(out)) == (0, {"model": MODEL, "version": id_of(2), "before": id_of(1)})


def test_deleted_and_collected(call):
    registered(call.home, 1, 2)
    status, out, _ = call("versions", MODEL, "--delete", id_of(2))
    assert (status, f"is deleted; {id_of(1)[:12]} is current" in out) == (0, True)
    would = json.loads(call("gc", "--dry-run", "--json")[1])
    assert (would.pop("dry_run"), would["versions"]) == (True, [id_of(2)])
    assert call("gc", "--dry-run")[1].startswith("Would remove 1 version, 0 files, 0 leftovers of killed pushes: ")
    did = json.loads(call("gc", "--json")[1])
    assert (did.pop("dry_run"), did) == (False, would)
    assert call("gc")[1] == "Removed 0 versions, 0 files, 0 leftovers of killed pushes: 0 bytes\n"
    assert call("versions", MODEL, "--delete", id_of(1))[1].endswith(
        "it has no version left. `pilotlight gc` removes its files.\n"
    )

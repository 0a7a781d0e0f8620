"""The command as a process: its help, its exit statuses."""

import os
import subprocess
import sys

import click
import pytest

from pilotlight.cli import cli, run

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()"]


def pilotlight(*args, **options):
    return subprocess.run([*PROGRAM, *args], capture_output=True, text=True, timeout=500, check=False, **options)


def test_help_imports_no_subcommand():
    code = (
        "import sys; from pilotlight.cli import run; run(['--help']); print([m for m in sys.modules if m in WATCHED])"
    )
    watched = f"WATCHED = {['httpx2', 'pydantic', 'yaml', 'rich', 'torch', 'pilotlight.runtime']}\n"
    done = subprocess.run(
        [sys.executable, "-c", watched + code], capture_output=True, text=True, timeout=500, check=True
    )
    *shown, modules = done.stdout.splitlines()
    assert modules == "[]"
    assert any(line.split()[:1] == ["predict"] for line in shown)


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"], ["predict", "--help"]])
def test_what_is_no_error(args):
    done = pilotlight(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pilotlight" in done.stdout


def commands(group, *path):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield pytest.param(command, id=" ".join((*path, name)))


@pytest.mark.parametrize("command", list(commands(cli)))
def test_every_command_has_a_help_with_examples(command):
    text = command.get_help(click.Context(command, info_name="x"))
    assert "Example" in text
    assert "pilotlight " in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["predct"], "No such command 'predct'"),
        (["predict", "--nope"], "No such option"),
        (["predict", "--project", "not/there"], "not/there is not a folder"),
        (["predict", "-e", "NAME"], "-e 'NAME': give it as NAME=VALUE"),
        (["predict", "-i", "a=b", "--json", "{}"], "either with -i or with --json"),
        (["predict", "--timeout", "0"], "--timeout"),
        (["serve", "--host", "nowhere.example"], "give an IP address"),
        (["serve", "--port", "0"], "--port"),
    ],
)
def test_what_cannot_work_is_one_message_and_status_2(args, message):
    done = pilotlight(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_variable_that_no_setting_has_is_a_warning(capsys, monkeypatch):
    monkeypatch.setenv("PILOTLIGHT_MODLE", "x")
    assert run(["prices"]) == 0
    warning = "Warning: PILOTLIGHT_MODLE is set, but pilotlight has no such setting; did you mean PILOTLIGHT_MODEL?\n"
    assert capsys.readouterr().err == warning


def test_a_port_of_the_environment_that_is_no_number():
    done = pilotlight("serve", env={**os.environ, "PORT": "abc"})
    assert done.returncode == 2
    assert "env var: 'PORT'" in done.stderr


def test_a_reader_that_leaves_gets_no_traceback():
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" | true', "sh", *PROGRAM, "predict", "--help"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.stderr == ""

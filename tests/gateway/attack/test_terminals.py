"""What predictors print, return and are named reaches a terminal escaped, and a pipe as it is."""

import asyncio
import dataclasses
import io
import re
import sys

import pytest

from pilotlight.cli import run as run_command
from tests.gateway.made import Fakes, made_version, run, served

ATTACK = "\x1b]52;c;Y3VybA==\x07 \u202eevil\x9b2J"
SHOWN = "\\x1b]52;c;Y3VybA==\\x07 \\u202eevil\\x9b2J"
STYLE = re.compile("\x1b\\[[0-9;]*m")  # what our own output is coloured with


class Stream(io.StringIO):
    def __init__(self, *, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def command(monkeypatch, request):
    """Runs a command on a terminal or in a pipe; returns what it printed."""

    async def call(*args, terminal):
        out = Stream(terminal=terminal)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", out)
        monkeypatch.setenv("COLUMNS", "200")
        await asyncio.to_thread(run_command, args)
        return STYLE.sub("", out.getvalue())

    return call


@pytest.mark.parametrize("terminal", [True, False])
def test_logs(tmp_path, command, terminal):
    async def scenario():
        async with served(tmp_path) as client:
            client.gateway.logs.add(ATTACK, model="local/model1")
            url = str(client.base_url)
            for args in (("logs",), ("logs", "local/model1")):
                printed = await command(*args, "--url", url, terminal=terminal)
                assert (SHOWN if terminal else ATTACK) in printed
                assert terminal is not ("\x1b" in printed)

    run(scenario())


@pytest.mark.parametrize("terminal", [True, False])
def test_an_output(tmp_path, command, terminal):
    async def scenario():
        async with served(tmp_path, fakes=Fakes(answer=lambda inputs: [ATTACK])) as client:
            url = str(client.base_url).rstrip("/")
            printed = await command("run", f"gateway:{url}/local/model1", "-i", "prompt=a", terminal=terminal)
            # A list, which is printed as JSON: that escapes some of it by itself.
            assert "evil" in printed
            assert terminal is not any(one in printed for one in ("\u202e", "\x9b"))
            assert "\x1b" not in printed

    run(scenario())


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error(tmp_path, command, terminal):
    def fail(inputs):
        raise ValueError(ATTACK)

    async def scenario():
        async with served(tmp_path, fakes=Fakes(answer=fail)) as client:
            url = str(client.base_url).rstrip("/")
            printed = await command("run", f"gateway:{url}/local/model1", "-i", "prompt=a", terminal=terminal)
            assert "Error: " in printed
            assert (SHOWN if terminal else ATTACK) in printed

    run(scenario())


def test_names_in_top(tmp_path, command):
    async def scenario():
        version = dataclasses.replace(made_version(), name=f"m\n{ATTACK}")
        async with served(tmp_path, versions=[version]) as client:
            printed = await command("top", "--once", "--url", str(client.base_url), terminal=True)
            assert "local/m\\n\\x1b]52" in printed
            assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(printed)

    run(scenario())

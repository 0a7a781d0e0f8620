r"""The commands of a page of documentation, run for real.

A fenced block tagged ``console`` is part of the page's one bash session, in the repository's root. A line ``$ command``
is run (lines that follow a ``\`` at the end of the line belong to it); the lines below it, where there are any, are
what it prints on stdout, with ``...`` for any text, and a line of only ``...`` for any lines. A command must succeed,
or say otherwise in a comment: ``$ command  # exit status 2``. ``console slow`` makes the page's test a slow one.
Whatever cannot run here (a network, a GPU, an account) is a ``text`` block.

In a session ``scripts/predict`` serves the model that comes with the project, so that it downloads none and the other
tests find ``weights/`` as it was; ``pilotlight`` is this package's, ``$TMPDIR`` is an empty folder, the gateway's home
is another, and 8393 and 8394 stand for ports that are free.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

TIMEOUT_S = 540.0
PRELUDE = 'scripts/predict() { PILOTLIGHT_MODEL=${PILOTLIGHT_MODEL:-pylight-5m} command scripts/predict "$@"; }\n'
NOT_RUN = {"text", "python", "yaml", "json", "toml", "dockerfile", "html", "mermaid"}
MARK = "--documented-command-ended--"
STATUS = re.compile(r"# exit status (\d+)$")
PORTS = ("8393", "8394")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page.

    Attributes:
        text: what bash is given.
        expected: the lines that it prints; empty where any output will do.
        status: its exit status.
    """

    text: str
    expected: tuple[str, ...]
    status: int


def blocks(markdown: str) -> list[tuple[str, str]]:
    """Return every fenced block as (tag, content)."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)


def console(markdown: str) -> str:
    """Return the content of all console blocks of a page, one after the other."""
    return "".join(content for tag, content in blocks(markdown) if tag.split()[:1] == ["console"])


def is_slow(markdown: str) -> bool:
    """Return whether one of the page's blocks says so."""
    return any(tag == "console slow" for tag, _ in blocks(markdown))


def parse(content: str) -> list[Command]:
    """Return the commands of console blocks."""
    commands: list[tuple[list[str], list[str]]] = []
    continued = False
    for line in content.splitlines():
        if line.startswith("$ "):
            commands.append(([line[2:]], []))
        else:
            assert commands, f"a console block starts with '$ command', not {line!r}"
            commands[-1][0 if continued else 1].append(line)
        continued = line.endswith("\\") and (continued or line.startswith("$ "))
    return [
        Command("\n".join(text), tuple(expected), int(status[1]) if (status := STATUS.search(text[-1])) else 0)
        for text, expected in commands
    ]


def with_free_ports(content: str) -> tuple[str, dict[str, str]]:
    """Return the content with free ports in the place of the documented ones, and which stands for which."""
    with contextlib.ExitStack() as stack:
        free = {port: str(_bound(stack.enter_context(socket.socket()))) for port in PORTS}
    return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: free[found[0]], content), free


def _bound(probe: socket.socket) -> int:
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    return port


def environment(folder: Path, ports: Mapping[str, str]) -> dict[str, str]:
    """Return a session's environment."""
    (folder / "tmp").mkdir()
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PILOTLIGHT_HOME": str(folder / "home"),
        "PILOTLIGHT_URL": f"http://127.0.0.1:{ports['8394']}",
        "TMPDIR": str(folder / "tmp"),
        "COLUMNS": "120",
    }


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Return whether the output is as expected, ``...`` standing for any text; blanks at line ends do not count."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(map(re.escape, line.rstrip().split("..."))) + "[ \t]*\n"
        for line in expected
    )
    return re.fullmatch(pattern, printed.rstrip() + "\n" if printed.strip() else "") is not None


def run(commands: list[Command], folder: Path, environ: Mapping[str, str] | None = None) -> list[tuple[int, str]]:
    """Run the commands in one bash session; return (exit status, stdout) of each. What is left running is ended."""
    script = PRELUDE + "".join(
        f"{command.text}\n__status=$?; printf '\\n{MARK} %d\\n' $__status; (exit $__status)\n" for command in commands
    )
    with (folder / "stderr").open("w+") as stderr, (folder / "stdout").open("w+") as stdout:
        # Files, not pipes: a server that the block leaves in the background would hold a pipe open.
        bash = subprocess.Popen(
            ["bash", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ,
            start_new_session=True,
        )  # fmt: skip
        try:
            bash.wait(TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGTERM)
            bash.wait(120)
        stdout.seek(0)
        stderr.seek(0)
        print(stderr.read())
        parts = re.split(rf"\n{MARK} (\d+)\n", stdout.read())
    return [(int(status), text) for text, status in zip(parts[:-1:2], parts[1::2], strict=True)]

r"""The README's commands, run for real.

A fenced block tagged ``console`` is one bash session in the repository's root.  A line ``$ command`` is run (lines that
follow a ``\`` at the end of the line belong to it); the lines below it, where there are any, are what it prints on
stdout, with ``...`` for any text, and a line of only ``...`` for any lines.  A command must succeed, or say otherwise
in a comment: ``$ command  # exit status 2``.  Whatever cannot run here (a network, a GPU, an account) is a
``text`` block.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

README = (ROOT / "README.md").read_text()
TIMEOUT_S = 500.0
NOT_RUN = {"text", "python", "yaml", "json", "toml", "dockerfile", "html", "mermaid"}
MARK = "--readme-command-ended--"


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    expected: tuple[str, ...]  # lines; empty: whatever it prints
    status: int


def blocks(markdown: str) -> list[tuple[str, str]]:
    """Every fenced block as (tag, content)."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)


def parse(block: str) -> list[Command]:
    """The commands of a console block."""
    commands: list[tuple[list[str], list[str]]] = []
    continued = False
    for line in block.splitlines():
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


STATUS = re.compile(r"# exit status (\d+)$")


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether the output is as expected, ``...`` standing for any text; blanks at line ends do not count."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(map(re.escape, line.rstrip().split("..."))) + "[ \t]*\n"
        for line in expected
    )
    return re.fullmatch(pattern, printed.rstrip() + "\n" if printed.strip() else "") is not None


def run(commands: list[Command], folder: Path) -> list[tuple[int, str]]:
    """Run them in one bash session; (exit status, stdout) of each.  What they leave running is ended."""
    script = "".join(
        f"{command.text}\n__status=$?; printf '\\n{MARK} %d\\n' $__status; (exit $__status)\n" for command in commands
    )
    with (folder / "stderr").open("w+") as stderr, (folder / "stdout").open("w+") as stdout:
        # Files, not pipes: a server that the block leaves in the background would hold a pipe open.
        bash = subprocess.Popen(
            ["bash", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
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


CONSOLE = [content for tag, content in blocks(README) if tag == "console"]


@pytest.mark.parametrize("block", CONSOLE, ids=[block.splitlines()[0][2:60] for block in CONSOLE])
def test_readme_block(block: str, tmp_path: Path) -> None:
    commands = parse(block)
    results = run(commands, tmp_path)
    for command, (status, printed) in zip(commands, results, strict=True):
        assert status == command.status, f"$ {command.text}\n{printed}"
        if command.expected:
            assert matches(command.expected, printed), f"$ {command.text}\n{printed}"


def test_readme_has_commands_and_hides_none() -> None:
    assert CONSOLE
    assert {tag for tag, _ in blocks(README)} <= NOT_RUN | {"console"}
    assert not any("scripts/test" in command.text for block in CONSOLE for command in parse(block)), (
        "scripts/test in a console block would run itself without end: make it a text block"
    )


def test_a_block_is_one_session_and_each_command_is_judged(tmp_path: Path) -> None:
    commands = parse(
        "$ word=two\n$ printf '%s\\n' one \\\n    $word\none\ntwo\n$ false  # exit status 1\n$ sleep 60 &\n"
    )
    assert [c.expected for c in commands] == [(), ("one", "two"), (), ()]
    assert [c.status for c in commands] == [0, 0, 1, 0]
    assert run(commands, tmp_path) == [(0, ""), (0, "one\ntwo\n"), (1, ""), (0, "")]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (("a", "b"), "a\nb\n", True),
        (("a",), "a\nb\n", False),
        (("a", "..."), "a\nb\nc\n", True),
        (("...", "c"), "c\n", True),
        (("took ... s",), "took 1.5 s\n", True),
        (("took ... s",), "took\n1 s\n", False),
        (("a.c",), "abc\n", False),
        (("a",), "", False),
    ],
)
def test_output_pattern(expected: tuple[str, ...], printed: str, same: bool) -> None:
    assert matches(expected, printed) is same

"""The commands in README.md and docs/ do what the pages say; one session for each page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import console
from tests.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FAST = [pytest.mark.cog]
SLOW = [pytest.mark.cog, pytest.mark.slow]
RUN = [
    pytest.param(page, id=page.relative_to(ROOT).as_posix(), marks=SLOW if console.is_slow(text) else FAST)
    for page in PAGES
    if console.console(text := page.read_text())
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    content, ports = console.with_free_ports(console.console(page.read_text()))
    commands = console.parse(content)
    results = console.run(commands, tmp_path, console.environment(tmp_path, ports))
    assert len(results) == len(commands), "the session ended before its last command"
    for command, (status, printed) in zip(commands, results, strict=True):
        assert status == command.status, f"$ {command.text}\n{printed}"
        if command.expected:
            assert console.matches(command.expected, printed), f"$ {command.text}\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_says_whether_it_is_run(page: Path) -> None:
    text = page.read_text()
    assert {tag for tag, _ in console.blocks(text)} <= console.NOT_RUN | {"console", "console slow"}
    assert not any("scripts/test" in command.text for command in console.parse(console.console(text))), (
        "scripts/test in a console block would run itself without end: make it a text block"
    )


def test_the_readme_and_the_quickstart_are_run() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {param.id for param in RUN}


def test_a_page_is_one_session_and_each_command_is_judged(tmp_path: Path) -> None:
    commands = console.parse(
        "$ word=two\n$ printf '%s\\n' one \\\n    $word\none\ntwo\n$ false  # exit status 1\n$ sleep 60 &\n"
    )
    assert [c.expected for c in commands] == [(), ("one", "two"), (), ()]
    assert [c.status for c in commands] == [0, 0, 1, 0]
    assert console.run(commands, tmp_path) == [(0, ""), (0, "one\ntwo\n"), (1, ""), (0, "")]


def test_all_console_blocks_of_a_page_are_found_and_one_makes_it_slow() -> None:
    page = "```console\n$ a\n```\ntext\n```text\n$ b\n```\n```console slow\n$ c\n```\n"
    assert console.console(page) == "$ a\n$ c\n"
    assert console.is_slow(page)
    assert not console.is_slow(page.replace(" slow", ""))


def test_a_port_is_the_same_free_one_in_all_of_a_page() -> None:
    content, ports = console.with_free_ports("$ serve --port 8393\n$ curl :8393 :8394 18393\n")
    assert len({*ports.values(), *ports}) == 4
    assert content == f"$ serve --port {ports['8393']}\n$ curl :{ports['8393']} :{ports['8394']} 18393\n"


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
    assert console.matches(expected, printed) is same

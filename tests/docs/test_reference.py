"""docs/reference/ says what the code does."""

from __future__ import annotations

import click
import pytest

from pilotlight.cli import cli
from scripts.dev.write_reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_gives_now(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run: scripts/dev/write_reference.py"


def test_every_page_of_the_folder_is_generated() -> None:
    assert {path.name for path in FOLDER.iterdir()} == PAGES.keys()


def commands(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    found = [(context.command_path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += commands(child, click.Context(child, info_name=name, parent=context))
    return found


def test_every_command_and_option_is_described() -> None:
    page = (FOLDER / "cli.md").read_text()
    for path, command in commands(cli, click.Context(cli, info_name="pilotlight")):
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        assert section, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in section for option in parameter.opts), (path, parameter.name)

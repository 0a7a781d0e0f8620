"""``pilotlight types``: writes a typed module for a target."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from pilotlight.client import AsyncClient
from pilotlight.client.typegen import module_for
from pilotlight.errors import UsageError

_EXAMPLES = """\b
Examples:
  pilotlight types project:. -o model_types.py
  pilotlight types replicate:me/model

\b
Then:
  from pilotlight.client import Client
  import model_types
  with Client("replicate:me/model") as client:
      text = model_types.run(client, {"prompt": "hello"})
"""


@click.command("types", epilog=_EXAMPLES)
@click.argument("target")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: stdout.")
@click.option("--token", help="Token of the target's API; default: the target's own environment variable.")
@click.option("--url", help="URL of the target's API, if it is not the default one.")
def command(target: str, output: Path | None, token: str | None, url: str | None) -> None:
    """Write a Python module with the types of TARGET's inputs and output, for type checkers."""
    text = asyncio.run(_module(target, token, url))
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"-o {output}: {error.strerror}") from error
        click.echo(f"Written: {output}", err=True)


async def _module(target: str, token: str | None, url: str | None) -> str:
    async with AsyncClient(target, token=token, url=url) as client:
        document = await client.schema()
    if document is None:
        raise UsageError(f"{target} does not provide its schema")
    return module_for(target, document)

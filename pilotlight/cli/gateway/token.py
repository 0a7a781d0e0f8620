"""``pilotlight token``: manages the tokens that callers of a gateway send."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from pilotlight.cli.gateway.home import home_option
from pilotlight.gateway import Scope, Tokens

_EPILOG = """\b
Examples:
  pilotlight token create website
  pilotlight token create deployer --scope admin
  pilotlight token create dashboard --scope read
  pilotlight token list
  pilotlight token revoke website
"""


@click.group("token", epilog=_EPILOG)
def command() -> None:
    """Create, list and revoke the tokens of a gateway's callers.

    A running gateway applies changes immediately; one that was started without any token applies them when restarted.
    """


@command.command(epilog="Example: pilotlight token create deployer --scope admin")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.PREDICT.value,
    show_default=True,
    help="read: read everything; predict: create predictions and files, and see only its own; admin: everything.",
)
@home_option
def create(name: str, scope: str, home_folder: Path) -> None:
    """Create a token and print it; it cannot be shown again."""
    token, text = Tokens(home_folder.expanduser()).create(name, Scope(scope), time.time())
    click.echo(f"Token {token.id}, {token.name!r}, for {token.scope}; it is shown only this once:", err=True)
    click.echo(text)


@command.command("list", epilog="Example: pilotlight token list")
@home_option
def list_tokens(home_folder: Path) -> None:
    """Show the tokens: id, scope, day of creation and name."""
    for token in Tokens(home_folder.expanduser()).all():
        day = datetime.fromtimestamp(token.created_at, UTC).date()
        click.echo(f"{token.id}  {token.scope:7}  {day}  {token.name}")


@command.command(epilog="Example: pilotlight token revoke website")
@click.argument("token", metavar="ID_OR_NAME")
@home_option
def revoke(token: str, home_folder: Path) -> None:
    """Revoke a token: the gateway no longer accepts it."""
    revoked = Tokens(home_folder.expanduser()).revoke(token)
    click.echo(f"Token {revoked.id}, {revoked.name!r}, is no longer accepted.", err=True)

"""Printing what predictors, callers and other machines have said: escaped on a terminal, as it is in a pipe."""

from __future__ import annotations

import sys

import click

from pilotlight.util.terminal import escaped

__all__ = ["echo_foreign", "shown"]


def echo_foreign(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of others on stdout, or stderr with ``err``; flushes."""
    click.echo(shown(text, err=err), err=err, nl=nl)


def shown(text: str, *, err: bool = False) -> str:
    """Return a text as ``echo_foreign`` prints it, to be printed with styled text of our own."""
    stream = sys.stderr if err else sys.stdout
    return escaped(text) if stream.isatty() else text

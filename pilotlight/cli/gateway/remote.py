"""Options and HTTP client of the commands that call a running gateway, on this machine or another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click

from pilotlight.cli.common.options import note_old_name
from pilotlight.client.connection import Timeouts
from pilotlight.client.http import Http, Retry
from pilotlight.config.variables import API_TOKEN, TOKEN, URL
from pilotlight.errors import TargetUnavailableError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def remote_options(command: F) -> F:
    """Add ``--url`` and ``--token`` to a command."""
    url = click.option(
        "--url",
        envvar=URL.name,
        show_envvar=True,
        default=URL.default,
        show_default=True,
        help="Where the gateway listens.",
    )
    token = click.option(
        "--token",
        envvar=[API_TOKEN.name, TOKEN.name],
        show_envvar=True,
        callback=note_old_name(API_TOKEN),
        help="A token of the gateway, if it requires one.",
    )
    return url(token(command))


@asynccontextmanager
async def remote(url: str, token: str | None) -> AsyncGenerator[Http, None]:
    """Open an HTTP client of the gateway at ``url``, which does not retry requests.

    Raises:
        UsageError: ``url`` is not a URL.
        TargetError: a request inside the context failed: the gateway cannot be reached, or refuses it.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url!r}: give {URL.expected}")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    http = Http(url.rstrip("/"), headers, Timeouts(), Retry(tries=1))
    try:
        yield http
    except TargetUnavailableError as error:
        if error.sent:
            raise
        message = f"{error}; is a gateway running there? `pilotlight gateway` starts one, --url names another"
        raise TargetUnavailableError(message, sent=False) from error
    finally:
        await http.close()

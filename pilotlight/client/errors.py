"""Maps httpx2's errors and HTTP statuses to pilotlight's errors; the only place that does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

import httpx2

from pilotlight.errors import (
    InputError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.util.retry_after import retry_after_s

_LONGEST_DETAIL = 600
# What an API says to inputs that it does not take.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
# Where the known APIs put the words of a failure.
_WORDS_AT = ("detail", "error", "message", "title")


@contextmanager
def mapped_errors(where: str) -> Iterator[None]:
    """What the HTTP client raises, in our words."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise TargetUnavailableError(f"{where} cannot be reached: {_words(error)}", sent=False) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise TargetError(f"{where} gave a URL that is none: {error}") from error
    except httpx2.TransportError as error:
        raise TargetUnavailableError(f"the connection to {where} broke: {_words(error)}") from error
    except httpx2.RequestError as error:  # such as a compressed body that does not unpack
        raise TargetUnavailableError(f"{where} sent an answer that cannot be read: {_words(error)}") from error


@contextmanager
def understood(who: object) -> Iterator[None]:
    """Around code that takes apart what a target has answered: what has another shape is the target's mistake.

    Raises:
        TargetError: it answered with something that it should not.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        words = f"{type(error).__name__}: {error}"
        raise TargetError(f"{who} sent an answer that makes no sense here ({words})") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


@contextmanager
def unsent() -> Iterator[None]:
    """Around what comes before a prediction is sent: whatever fails there, it has not begun."""
    try:
        yield
    except TargetUnavailableError as error:
        if not error.sent:
            raise
        raise TargetUnavailableError(str(error), sent=False, retry_after_s=error.retry_after_s) from error


@contextmanager
def following(what: object) -> Iterator[None]:
    """Around what comes after a prediction was accepted: whatever fails there, it may be running."""
    try:
        yield
    except (TargetBusyError, TargetUnavailableError) as error:
        raise TargetUnavailableError(
            f"{what} cannot be followed: {error}", sent=True, retry_after_s=error.retry_after_s
        ) from error


def raise_for_status(response: httpx2.Response) -> None:
    """Returns for an answer that is no failure.

    Raises:
        InputError: 400, 413, 422, to a request that brings inputs.
        TargetError: the kind of it that fits.
    """
    status = response.status_code
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    words = f"{response.request.url.host} answered {status}: {_detail(response)}"
    if status in _REFUSED and response.request.method != "GET":
        raise InputError("input", _detail(response))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED):
        raise TargetAuthError(words)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise TargetMissingError(words)
    asked_s = retry_after_s(response.headers.get("Retry-After", ""), now=time.time())
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TargetBusyError(words, retry_after_s=asked_s)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        raise TargetUnavailableError(words, retry_after_s=asked_s)
    raise TargetError(words)


def _detail(response: httpx2.Response) -> str:
    """What an API says of a failure, in the ways that the known ones say it."""
    text = said_in(response.text).strip() or response.reason_phrase
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]} ..."


def said_in(said: Any) -> str:
    """The words of a failure's body: text, or JSON, which may have the body of another failure in it."""
    if isinstance(said, str):
        with suppress(ValueError):
            inner = json.loads(said)
            if isinstance(inner, Mapping):
                return said_in(inner)
        return said
    if isinstance(said, Mapping):
        for key in _WORDS_AT:
            if said.get(key):
                return said_in(said[key])
    return json.dumps(said, ensure_ascii=False)

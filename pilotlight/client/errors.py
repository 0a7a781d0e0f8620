"""Maps httpx2's errors and HTTP statuses to pilotlight's errors; no other module does."""

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
# Statuses with which an API rejects inputs.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
# Keys under which the known APIs put an error's message.
_WORDS_AT = ("detail", "error", "message", "title")


@contextmanager
def mapped_errors(where: str) -> Iterator[None]:
    """Raise errors of the HTTP client as ``TargetError``; ``where`` describes the target in messages."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise TargetUnavailableError(f"{where} cannot be reached: {_words(error)}", sent=False) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise TargetError(f"{where} was called with an invalid URL: {error}") from error
    except httpx2.TransportError as error:
        raise TargetUnavailableError(f"the connection to {where} broke: {_words(error)}") from error
    except httpx2.RequestError as error:  # such as a compressed body that cannot be decoded
        raise TargetUnavailableError(f"{where} sent an answer that cannot be read: {_words(error)}") from error


@contextmanager
def parse_errors(who: object) -> Iterator[None]:
    """Raise errors of parsing a target's answer as ``TargetError``; ``who`` describes the target in messages.

    Raises:
        TargetError: the answer has an unexpected form.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        words = f"{type(error).__name__}: {error}"
        raise TargetError(f"{who} sent an answer of an unexpected form ({words})") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


@contextmanager
def unsent() -> Iterator[None]:
    """Mark ``TargetUnavailableError`` as ``sent=False``, for steps before a prediction is sent: it has not begun."""
    try:
        yield
    except TargetUnavailableError as error:
        if not error.sent:
            raise
        raise TargetUnavailableError(str(error), sent=False, retry_after_s=error.retry_after_s) from error


@contextmanager
def following(what: object) -> Iterator[None]:
    """Mark errors as ``sent=True``, for steps after a prediction was accepted: it may be running."""
    try:
        yield
    except (TargetBusyError, TargetUnavailableError) as error:
        raise TargetUnavailableError(
            f"{what} cannot be followed: {error}", sent=True, retry_after_s=error.retry_after_s
        ) from error


def raise_for_status(response: httpx2.Response) -> None:
    """Raise the error that fits a response's status; return for a status below 300.

    Raises:
        InputError: the status is 400, 413 or 422 and the request was not a GET.
        TargetError: or the subclass that fits the status.
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
    """Return the error message of a response, or its reason phrase; long messages are cut."""
    text = error_message(response.text).strip() or response.reason_phrase
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]} ..."


def error_message(said: Any) -> str:
    """Return the message in an error body, which is text or JSON; JSON inside a text is read too."""
    if isinstance(said, str):
        with suppress(ValueError):
            inner = json.loads(said)
            if isinstance(inner, Mapping):
                return error_message(inner)
        return said
    if isinstance(said, Mapping):
        for key in _WORDS_AT:
            if said.get(key):
                return error_message(said[key])
    return json.dumps(said, ensure_ascii=False)

"""Tokens by which callers show who they are, in one file of a gateway's home: of each only a hash, and what it may do.

A token has 192 random bits, so that a plain hash of it cannot be guessed back. The file is written by ``pilotlight
token`` and read by a gateway, which heeds a change at the next request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pilotlight.errors import StoreError, UsageError
from pilotlight.util.files import write_atomically

_NAME = "tokens.json"
_PREFIX = "plt_"
_FORMAT = 1


class Scope(StrEnum):
    """What a token allows. A wider scope includes the narrower ones before it."""

    READ = "read"
    """Reading: models, predictions, status, logs."""
    PREDICT = "predict"
    """Creating and cancelling predictions, and uploading and deleting files, too."""
    ADMIN = "admin"
    """Creating, changing and deleting models, versions and deployments, too."""

    def includes(self, other: Scope) -> bool:
        """Return whether a token of this scope may do what ``other`` allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Token(BaseModel):
    """One token.

    Attributes:
        id: by which it is listed and revoked; no secret.
        name: what its maker calls it.
        scope: what it may do.
        digest: the sha256 of it, as 64 hex digits.
        created_at: seconds since 1970.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    scope: Scope
    digest: str
    created_at: float


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    tokens: tuple[Token, ...]


class Tokens:
    """The tokens in ``home``.

    Args:
        home: a gateway's.
        given: one more that may do everything and is in no file: that of ``--token``.

    Raises:
        StoreError: from every method: the file cannot be read or written, or is none of ours.
    """

    def __init__(self, home: Path, *, given: str | None = None) -> None:
        self._path = home / _NAME
        self._given = None
        if given is not None:
            self._given = Token(id="given", name="--token", scope=Scope.ADMIN, digest=_digest(given), created_at=0.0)
        self._seen: tuple[int, int, int] | None = None
        self._by_digest: dict[str, Token] = {}

    def find(self, text: str) -> Token | None:
        """The token that ``text`` is."""
        digest = _digest(text)
        if self._given is not None and hmac.compare_digest(self._given.digest, digest):
            return self._given
        self._refresh()
        # By the digest of what was sent: how long this takes tells nothing of a token that is in the table.
        return self._by_digest.get(digest)

    def all(self) -> tuple[Token, ...]:
        """Those in the file, in the order in which they were made."""
        self._refresh()
        return tuple(self._by_digest.values())

    def create(self, name: str, scope: Scope, now: float) -> tuple[Token, str]:
        """A new token, and its text, which is kept nowhere."""
        text = _PREFIX + secrets.token_hex(24)
        token = Token(id=secrets.token_hex(4), name=name, scope=scope, digest=_digest(text), created_at=now)
        with self._changing():
            self._write((*self.all(), token))
        return token, text

    def revoke(self, wanted: str) -> Token:
        """Takes one away, by its id or its name.

        Raises:
            UsageError: there is none, or more than one of that name.
        """
        with self._changing():
            found = [token for token in self.all() if wanted in (token.id, token.name)]
            if len(found) != 1:
                number = f"{len(found)} tokens are named" if found else "no token has the id or the name"
                raise UsageError(f"{number} {wanted!r}; `pilotlight token list` shows their ids")
            self._write(tuple(token for token in self.all() if token is not found[0]))
        return found[0]

    def _refresh(self) -> None:
        """Reads the file if it is not the one that was read last: it is only ever replaced as a whole."""
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            self._seen, self._by_digest = None, {}
            return
        except OSError as error:
            raise self._broken(error) from error
        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if mark == self._seen:
            return
        try:
            file = _File.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            raise self._broken(error) from error
        if file.format != _FORMAT:
            raise self._broken(f"it has format {file.format}, of another pilotlight")
        self._seen, self._by_digest = mark, {token.digest: token for token in file.tokens}

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = _File(format=_FORMAT, tokens=tokens).model_dump_json(indent=2)
        write_atomically(self._path, f"{text}\n", fsync=True, mode=0o600)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time; the lock dies with its process."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise self._broken(error) from error

    def _broken(self, why: object) -> StoreError:
        return StoreError(f"{self._path} cannot be used: {why}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

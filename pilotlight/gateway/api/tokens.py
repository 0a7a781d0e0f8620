"""The tokens that callers authenticate with, in one file in a gateway's home: a hash and the scope of each.

A token has 192 random bits, so its text cannot be found from a plain hash. ``pilotlight token`` writes the file; a
running gateway applies changes at the next request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pilotlight.errors import StoreError, UsageError
from pilotlight.util.files import write_atomically
from pilotlight.util.private import make_private_folder

_NAME = "tokens.json"
_PREFIX = "plt_"
_FORMAT = 1


class Scope(StrEnum):
    """What a token allows. A wider scope includes the narrower ones before it."""

    READ = "read"
    """Reading: models, predictions and uploads of everyone, status, logs."""
    PREDICT = "predict"
    """Creating and cancelling predictions, and uploading and deleting files, too; only its own are there for it."""
    ADMIN = "admin"
    """Everything, and with the predictions and uploads of everyone."""

    def includes(self, other: Scope) -> bool:
        """Return whether a token of this scope may do what ``other`` allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        owner: the id of their token, with which what they create is stored; ``None`` where no token is needed.
        scope: what they may do.
    """

    owner: str | None = None
    scope: Scope = Scope.ADMIN

    @property
    def only_owner(self) -> str | None:
        """Return the owner to whose predictions and uploads the caller is restricted; ``None`` for no restriction."""
        return self.owner if self.scope is Scope.PREDICT else None

    def may_use(self, owner: str | None) -> bool:
        """Return whether the predictions and uploads of that owner are there for the caller."""
        return self.only_owner in (None, owner)


class Token(BaseModel):
    """One token.

    Attributes:
        id: the public name under which it is listed and revoked.
        name: given by whoever created it.
        scope: what it allows.
        digest: the sha256 of its text, as 64 hex digits.
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
    """The tokens in a gateway's home.

    Args:
        home: the folder.
        given: a further token of the scope admin that is in no file: that of ``--token``.

    Raises:
        StoreError: from every method: the file cannot be read or written, or is not a file of tokens.
    """

    def __init__(self, home: Path, *, given: str | None = None) -> None:
        self._path = home / _NAME
        self._given = None
        if given is not None:
            self._given = Token(id="given", name="--token", scope=Scope.ADMIN, digest=_digest(given), created_at=0.0)
        self._seen: tuple[int, int, int] | None = None
        self._by_digest: dict[str, Token] = {}

    def find(self, text: str) -> Token | None:
        """Return the token with that text; ``None`` where there is none."""
        digest = _digest(text)
        if self._given is not None and hmac.compare_digest(self._given.digest, digest):
            return self._given
        self._refresh()
        # Looked up by the digest of what was sent: the time it takes reveals nothing about the tokens in the table.
        return self._by_digest.get(digest)

    def all(self) -> tuple[Token, ...]:
        """Return the tokens in the file, oldest first."""
        self._refresh()
        return tuple(self._by_digest.values())

    def create(self, name: str, scope: Scope, now: float) -> tuple[Token, str]:
        """Create a token; return it and its text, which is not stored."""
        text = _PREFIX + secrets.token_hex(24)
        token = Token(id=secrets.token_hex(4), name=name, scope=scope, digest=_digest(text), created_at=now)
        with self._changing():
            self._write((*self.all(), token))
        return token, text

    def revoke(self, wanted: str) -> Token:
        """Delete a token, given its id or its name.

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
        """Read the file where it has been replaced since the last time."""
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
            raise self._broken(f"its format is {file.format}, and this version of pilotlight reads {_FORMAT}")
        self._seen, self._by_digest = mark, {token.digest: token for token in file.tokens}

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = _File(format=_FORMAT, tokens=tokens).model_dump_json(indent=2)
        write_atomically(self._path, f"{text}\n", fsync=True, mode=0o600)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock that writers take; the system releases it when the process ends."""
        try:
            make_private_folder(self._path.parent)
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

"""Download one file: resumed where it broke off, hashed as it arrives, and named only when its hash is right.

While it is on its way it is ``NAME.part``, and ``NAME.part.json`` beside it says of what it is a part: the file's hash
as the source states it (or its address) and the validator for ``If-Range``. Parts survive all but a wrong hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pilotlight.errors import FetchError
from pilotlight.loading.fetch.digest import Digest
from pilotlight.loading.fetch.retry import Retries, RetryPolicy
from pilotlight.loading.fetch.sources import Opened, RangeRefusedError, Remote, RemoteFile, TransientError
from pilotlight.loading.files.manifest import ManifestFile
from pilotlight.loading.files.names import PART_SUFFIX, STATE_SUFFIX
from pilotlight.loading.progress import Watcher
from pilotlight.util.files import write_atomically

WRITE_BYTES = 1 << 18  # what a kill may lose and a bar may lag behind; below it the hand-over to a thread would show

How = Literal["fetched", "resumed", "kept"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is here and right. ``checked``: the source said what it must be."""

    file: ManifestFile
    how: How
    received_bytes: int
    checked: bool


class WrongBytesError(FetchError):
    """A file arrived whole, and its hash is not the one that the source states."""


@dataclass(slots=True)
class Transfer:
    """The download of one file from ``remote`` into ``folder``."""

    remote: Remote
    file: RemoteFile
    folder: Path
    watcher: Watcher
    policy: RetryPolicy
    _received_bytes: int = field(default=0, init=False)
    _resumed: bool = field(default=False, init=False)
    _restarted: bool = field(default=False, init=False)

    @property
    def path(self) -> Path:
        return self.folder / self.file.name

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + PART_SUFFIX)

    @property
    def state(self) -> Path:
        return self.path.with_name(self.path.name + STATE_SUFFIX)

    async def run(self) -> Arrived:
        """Download the file.

        Raises:
            FetchError: it cannot be had; the part that arrived is kept.
            WrongBytesError: it is not what the source says it is; nothing of it is kept.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            digest = Digest(self.file)
            await asyncio.to_thread(digest.read, self.path)
            if digest.difference(self.file, None) is None and self._has_checksum:
                return self._arrived(digest, "kept", checked=True)
            self.path.unlink()
        retries = Retries(self.policy, self.watcher.note)
        while True:
            before = self._received_bytes
            try:
                return await self._attempt()
            except TransientError as error:
                if self._received_bytes > before:
                    retries.progressed()
                await retries.wait_after(error)
            except RangeRefusedError as error:
                self._forget()
                await retries.wait_after(TransientError(str(error)))
            except WrongBytesError as error:
                self._forget()
                if self._restarted or not self._resumed:
                    raise
                # The two halves may be of two files, or the disk lost some of the first: once more, from the start.
                self._restarted, self._resumed = True, False
                self.watcher.note(f"{error}, after a resumed download: starting again")

    @property
    def _has_checksum(self) -> bool:
        return self.file.sha256 is not None or self.file.git_sha1 is not None

    @property
    def _identity(self) -> str:
        return self.file.sha256 or self.file.git_sha1 or self.file.address.partition("?")[0]

    async def _attempt(self) -> Arrived:
        etag, offset, digest = await asyncio.to_thread(self._take_up)
        self._resumed = self._resumed or offset > 0
        sha256: str | None = None
        if offset == 0 or offset != self.file.size_bytes:
            async with self.remote.open(self.file, offset, etag) as opened:
                sha256 = opened.sha256
                if opened.offset != offset:
                    self._resumed, digest = False, Digest(self.file)
                self._check_offer(opened)
                await self._receive(opened, digest)
        wrong = digest.difference(self.file, sha256)
        if wrong is not None:
            raise WrongBytesError(f"{self.file.name}: {wrong}. It was not kept")
        self.part.replace(self.path)
        self.state.unlink(missing_ok=True)
        how: How = "resumed" if self._resumed else "fetched"
        return self._arrived(digest, how, checked=self._has_checksum or sha256 is not None)

    def _take_up(self) -> tuple[str | None, int, Digest]:
        """Return the validator, offset and hash of an earlier try; ``None``, 0 and a new hash where it is unusable."""
        fresh = Digest(self.file)
        try:
            state = json.loads(self.state.read_bytes())
            identity, etag = state["identity"], state["etag"]
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0, fresh
        usable = identity == self._identity and (etag is not None or self._has_checksum) and self.part.is_file()
        if not usable or not isinstance(etag, str | None):
            return None, 0, fresh
        digest = Digest(self.file)
        digest.read(self.part)
        if self.file.size_bytes is not None and digest.size_bytes > self.file.size_bytes:
            return None, 0, fresh
        return etag, digest.size_bytes, digest

    def _check_offer(self, opened: Opened) -> None:
        expected, offered = self.file.size_bytes, opened.total_bytes
        if expected is not None and offered is not None and expected != offered:
            raise FetchError(f"{self.file.name}: expected {expected} bytes, and the source sends a file of {offered}")

    async def _receive(self, opened: Opened, digest: Digest) -> None:
        """Append the bytes that arrive to the part; they are written to it however this ends."""
        total = self.file.size_bytes if self.file.size_bytes is not None else opened.total_bytes
        state = {"identity": self._identity, "etag": opened.etag, "size_bytes": total}
        write_atomically(self.state, json.dumps(state), fsync=True)
        with self.part.open("r+b" if digest.size_bytes else "wb", buffering=0) as out:
            out.seek(digest.size_bytes)
            pending = bytearray()
            try:
                async for chunk in opened.chunks:
                    pending += chunk
                    if len(pending) >= WRITE_BYTES:
                        full, pending = bytes(pending), bytearray()
                        await self._keep(out, digest, full)
                        self.watcher.advanced(self.file.name, digest.size_bytes, total)
            finally:
                self._store(out, digest, bytes(pending))
            await asyncio.to_thread(os.fsync, out.fileno())
        self.watcher.advanced(self.file.name, digest.size_bytes, total)
        if total is not None and digest.size_bytes < total:
            raise TransientError(f"{self.file.name}: it broke off after {digest.size_bytes} of {total} bytes")

    async def _keep(self, out: BinaryIO, digest: Digest, chunk: bytes) -> None:
        # A thread cannot be cancelled: wait for its write even when we are, or two would write at once.
        writing = asyncio.ensure_future(asyncio.to_thread(self._store, out, digest, chunk))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await writing
            raise

    def _store(self, out: BinaryIO, digest: Digest, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[out.write(view) :]
        digest.update(chunk)
        self._received_bytes += len(chunk)

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def _arrived(self, digest: Digest, how: How, *, checked: bool) -> Arrived:
        file = ManifestFile(name=self.file.name, size_bytes=digest.size_bytes, sha256=digest.sha256)
        self.watcher.advanced(file.name, file.size_bytes, file.size_bytes)
        return Arrived(file, how, self._received_bytes, checked)

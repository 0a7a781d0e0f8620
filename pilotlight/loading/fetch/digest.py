"""The hash of a file, computed while it arrives and compared with the one that its source states."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pilotlight.loading.fetch.sources import RemoteFile
from pilotlight.loading.files.manifest import CHUNK_BYTES


class Digest:
    """The hashes of what has arrived so far: sha256 always, the git blob id where the source states that."""

    def __init__(self, file: RemoteFile) -> None:
        self._sha256 = hashlib.sha256()
        self._git = None
        if file.git_sha1 is not None and file.size_bytes is not None:
            # git's object id: sha1 over "blob SIZE\\0" and the content; an identity here, not a signature
            self._git = hashlib.sha1(f"blob {file.size_bytes}\0".encode(), usedforsecurity=False)
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        if self._git is not None:
            self._git.update(chunk)
        self.size_bytes += len(chunk)

    def read(self, path: Path) -> None:
        """Add the content of a file that is already here."""
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                self.update(chunk)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def difference(self, file: RemoteFile, sha256: str | None) -> str | None:
        """Return how the content differs from what the source states, in words; ``None`` where it does not."""
        if file.size_bytes is not None and file.size_bytes != self.size_bytes:
            return f"expected {file.size_bytes} bytes, got {self.size_bytes}"
        for expected in (file.sha256, sha256):
            if expected is not None and expected != self.sha256:
                return f"expected sha256 {expected}, got {self.sha256}"
        if self._git is not None and self._git.hexdigest() != file.git_sha1:
            return f"expected git blob id {file.git_sha1}, got {self._git.hexdigest()}"
        return None

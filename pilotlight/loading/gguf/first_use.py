"""The model folder of a GGUF file that is named where a model is: converted once, and kept in the cache.

Runs at cold starts: what has been converted is found with the standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from pilotlight.config.variables import cache_folder
from pilotlight.errors import WeightsError
from pilotlight.loading.files.gguf_names import parts_of
from pilotlight.loading.files.lock import folder_lock
from pilotlight.util.files import write_atomically

__all__ = ["converted_folder"]

log = logging.getLogger(__name__)
FORM = 1  # goes up when a conversion would give other files, so that older ones are not used any more
DIGITS = 16  # of the hash in a folder's name


def converted_folder(file: Path, *, environ: Mapping[str, str]) -> Path:
    """Return the model folder made from ``file``: the one in the cache, or a new one, at its first use.

    The folder's name has the file's sha256: another file of the same name gets a folder of its own.

    Raises:
        WeightsError: the file cannot be converted, or the cache cannot be written.
    """
    cache = cache_folder(environ) / "gguf"
    file = file.resolve()
    try:
        folder = cache / f"{file.stem}-{_digest(file, cache)[:DIGITS]}-{FORM}"
        if folder.is_dir():
            return folder
        lock = folder.with_name(f".{folder.name}.lock")
        waiting = f"{file}: another process converts it, waiting for it"
        with folder_lock(lock, on_wait=lambda: log.info(waiting)):
            if not folder.is_dir():
                _convert(file, folder)
    except OSError as error:
        raise WeightsError(
            f"{file} cannot be converted into {cache}: {error}. Set PILOTLIGHT_CACHE to a folder that can be written, "
            "or convert it before with: pilotlight weights convert"
        ) from error
    return folder


def _convert(file: Path, folder: Path) -> None:
    from pilotlight.loading.gguf.convert import convert_gguf  # numpy and gguf, which a later start does without

    for left in folder.parent.glob(f".{folder.name}.*.new"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    started_s = time.monotonic()
    log.info("%s: converting it to a model folder, once (to convert it yourself: pilotlight weights convert)", file)
    done = convert_gguf(file, folder)
    log.info(
        "%s: %.0f MB in %.1f s, kept in %s", file.name, done.size_bytes / 1e6, time.monotonic() - started_s, folder
    )


def _digest(file: Path, cache: Path) -> str:
    """Return the sha256 of the file, read again only where its size or time differs from the last use."""
    parts = [file.with_name(name) for name in parts_of(file.name)]
    seen = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in parts]
    record = cache / "seen" / f"{hashlib.sha256(str(file).encode()).hexdigest()[:DIGITS]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        before = json.loads(record.read_bytes())
        if before["seen"] == seen:
            return str(before["sha256"])
    digest = hashlib.sha256()
    for path in parts:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, json.dumps({"seen": seen, "sha256": digest.hexdigest()}))
    return digest.hexdigest()

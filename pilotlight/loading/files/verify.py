"""Compare a model folder with its manifest: every byte (``verify_folder``), or sizes and headers (``glance``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pilotlight.errors import PilotlightError, UsageError
from pilotlight.loading.files.checkpoint import weight_files
from pilotlight.loading.files.fetch_plan import PLAN_NAME, FetchPlan
from pilotlight.loading.files.gguf_names import holds_gguf
from pilotlight.loading.files.header import read_header
from pilotlight.loading.files.loadable import check_loadable, check_sizes
from pilotlight.loading.files.manifest import Manifest, ManifestFile, folder_files, read_manifest, sha256_of
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.loading.progress import Silent, Watcher

Finding = Literal["ok", "missing", "size differs", "sha256 differs", "unreadable", "extra"]
State = Literal["complete", "unfinished", "damaged", "no manifest"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: what is wrong with it, and what was expected and found where that says more."""

    name: str
    finding: Finding
    expected: str = ""
    actual: str = ""

    @property
    def ok(self) -> bool:
        return self.finding == "ok"


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of a folder without reading its weights.

    Attributes:
        state: sizes compared with the manifest, headers read; no hash was computed.
        problem: why it is not complete, in words.
        parameters: by dtype, from the safetensors headers.
    """

    name: str
    folder: Path
    state: State
    problem: str
    source: str
    engines: tuple[str, ...]
    files: int
    size_bytes: int
    parameters: dict[str, int]


def verify_folder(folder: Path, *, jobs: int = 4, watcher: Watcher | None = None) -> list[FileReport]:
    """Read every byte of ``folder`` and compare it with the manifest; one report per file, in order of names.

    A file that the manifest does not list is ``extra``: an engine might load it.

    Raises:
        WeightsError: there is no manifest to compare with.
    """
    manifest = read_manifest(folder)
    watcher = watcher or Silent()
    watcher.planned({file.name: file.size_bytes for file in manifest.files})
    stop = threading.Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="verify") as pool:
        try:
            reports = list(pool.map(lambda file: _verify_file(folder, file, watcher, stop), manifest.files))
        except BaseException:
            stop.set()  # Ctrl-C: the threads leave at their next chunk instead of reading to the end
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    listed = {file.name for file in manifest.files}
    extra = [FileReport(name, "extra", "not in the manifest") for name in folder_files(folder) if name not in listed]
    return sorted([*reports, *extra], key=lambda report: report.name)


def glance(folder: Path) -> Glance:
    """What ``folder`` holds, by its manifest, sizes and headers."""
    manifest: Manifest | None = None
    try:
        manifest = read_manifest(folder) if (folder / MANIFEST_NAME).exists() else None
        (check_sizes if holds_gguf(folder) else check_loadable)(folder)
        state, problem = _state(folder, manifest), ""
    except PilotlightError as error:
        state, problem = _state(folder, manifest), str(error)
        state = "damaged" if state == "complete" else state
    names = [file.name for file in manifest.files] if manifest else folder_files(folder)
    return Glance(
        name=folder.name,
        folder=folder,
        state=state,
        problem=problem,
        source=manifest.source if manifest else _planned_source(folder),
        engines=manifest.engines if manifest else (),
        files=len(names),
        size_bytes=manifest.size_bytes if manifest else sum((folder / name).stat().st_size for name in names),
        parameters=_parameters(folder),
    )


def model_folders(weights_dir: Path) -> list[Path]:
    """Return the folders under ``weights_dir``, by name."""
    if not weights_dir.is_dir():
        return []
    return sorted(path for path in weights_dir.iterdir() if path.is_dir() and not path.name.startswith("."))


def resolve_folder(name: str, weights_dir: Path) -> Path:
    """Return the folder that ``name`` means: one under ``weights_dir``, or any folder.

    Raises:
        UsageError: there is none.
    """
    for folder in (weights_dir / name, Path(name)):
        if folder.is_dir():
            return folder
    known = ", ".join(path.name for path in model_folders(weights_dir)) or "nothing"
    raise UsageError(f"{name!r} is neither a folder nor one of {weights_dir}/, which has {known}")


def _verify_file(folder: Path, expected: ManifestFile, watcher: Watcher, stop: threading.Event) -> FileReport:
    path, name = folder / expected.name, expected.name
    if not path.is_file():
        return FileReport(name, "missing", f"{expected.size_bytes} bytes")
    size_bytes = path.stat().st_size
    if size_bytes != expected.size_bytes:
        return FileReport(name, "size differs", f"{expected.size_bytes} bytes", f"{size_bytes} bytes")
    done_bytes = 0

    def advance(chunk_bytes: int) -> None:
        nonlocal done_bytes
        if stop.is_set():
            raise InterruptedError
        done_bytes += chunk_bytes
        watcher.advanced(name, done_bytes, expected.size_bytes)

    try:
        sha256 = sha256_of(path, on_bytes=advance)
    except OSError as error:
        return FileReport(name, "unreadable", f"sha256 {expected.sha256}", str(error))
    if sha256 != expected.sha256:
        return FileReport(name, "sha256 differs", f"sha256 {expected.sha256}", f"sha256 {sha256}")
    return FileReport(name, "ok")


def _state(folder: Path, manifest: Manifest | None) -> State:
    if manifest is not None:
        return "complete"
    if (folder / PLAN_NAME).exists():
        return "unfinished"
    return "damaged" if (folder / MANIFEST_NAME).exists() else "no manifest"


def _planned_source(folder: Path) -> str:
    try:
        return FetchPlan.model_validate_json((folder / PLAN_NAME).read_bytes()).source
    except (OSError, ValueError):
        return ""


def _parameters(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for dtype, count in _counts(folder):
        counts[dtype] = counts.get(dtype, 0) + count
    return counts


def _counts(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        for path in weight_files(folder):
            yield from read_header(path, size_bytes=path.stat().st_size).parameters.items()
    except (PilotlightError, OSError):
        return  # what is wrong with it is said by the state

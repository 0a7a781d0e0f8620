"""Fetches a model of the catalog and makes of it what the engines load: a GGUF file becomes a model folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pilotlight.errors import WeightsError
from pilotlight.loading.catalog import KnownModel
from pilotlight.loading.fetch.model import DEFAULT_JOBS, Fetched, fetch
from pilotlight.loading.files.loadable import check_sizes, read_json
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.files.manifest import read_manifest, write_manifest
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.progress import Watcher

__all__ = ["fetch_known"]

GENERATION_NAME = "generation_config.json"


def fetch_known(
    model: KnownModel,
    *,
    folder: Path,
    jobs: int = DEFAULT_JOBS,
    environ: Mapping[str, str],
    watcher: Watcher,
    finish: Callable[[Path], object] = lambda folder: None,
) -> Fetched:
    """Fetch ``model`` into ``folder``, which is there only once it is complete.

    What arrives is kept in a hidden folder beside it until then, so that an interrupted fetch resumes.

    Args:
        model: an entry of the catalog.
        folder: of the finished model.
        jobs: files that are fetched at the same time.
        environ: as for ``fetch``.
        watcher: gets the progress.
        finish: called with the finished folder before it gets its name; may add artifacts to it.

    Raises:
        FetchError, UnsafeWeightsError, WeightsError, UsageError: as ``fetch``.
    """
    arriving = folder.with_name(f".{folder.name}")
    with folder_lock(arriving, on_wait=lambda: watcher.note(f"waiting for another fetch of {model.name}")):
        if (folder / MANIFEST_NAME).is_file():
            check_sizes(folder)
            return Fetched(folder, read_manifest(folder), ())
        fetched = fetch(
            model.source,
            into=arriving / "source",
            jobs=jobs,
            environ=environ,
            watcher=watcher,
            check=_require_something,
        )
        draft = arriving / folder.name  # the name that messages show
        shutil.rmtree(draft, ignore_errors=True)  # of a fetch that was interrupted here
        ggufs = list(fetched.folder.glob("*.gguf"))
        if ggufs:
            watcher.note(f"converting {ggufs[0].name}")
            convert_gguf(ggufs[0], draft, dtype="float16")
        else:
            shutil.copytree(fetched.folder, draft, copy_function=shutil.move)
        _add_generation(draft, model.generation)
        write_manifest(draft, source=fetched.manifest.source, revision=fetched.manifest.revision)
        finish(draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        shutil.rmtree(arriving)
    return Fetched(folder, read_manifest(folder), fetched.files)


def _require_something(folder: Path) -> None:
    """Leave the rest to the checks of the finished folder."""
    if not any(folder.iterdir()):
        raise WeightsError(f"{folder} is empty")


def _add_generation(folder: Path, generation: Mapping[str, object]) -> None:
    path = folder / GENERATION_NAME
    if generation:
        there = read_json(path) if path.is_file() else {}
        path.write_text(json.dumps(there | dict(generation), indent=2) + "\n", "utf-8")

"""Record which parts of which files a start of a project reads from the disk."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.observe import observe
from pilotlight.bench.cold.pagecache import drop, pick_method
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.config.variables import READ_AHEAD
from pilotlight.loading.start.residency import resident_ranges
from pilotlight.loading.start.start_files import FileRanges, Places
from pilotlight.runtime import Project

__all__ = ["record"]

# Two reads of a disk this close to each other also read what lies between them at no extra cost.
GAP_BYTES = 128 * 1024


async def record(
    project: Project, inputs: Mapping[str, Any], options: StartOptions, announce: Callable[[str], None]
) -> list[FileRanges]:
    """Start a project twice with a prediction each: first to find the files, then the parts of them that are read.

    The page cache is dropped in between. If only single files can be dropped (see ``pagecache``), files that other
    processes use are recorded whole.

    Args:
        project: the project to start; a list that it already has is not used.
        inputs: the inputs of the prediction.
        options: the options of the workers.
        announce: called with a description of the next step.

    Returns:
        The files, the smallest first: modules are needed before libraries, and libraries before weights.

    Raises:
        WorkerError: a start did not succeed.
        UsageError: the project cannot be served, or refuses the inputs.
    """
    options = replace(options, env={**options.env, READ_AHEAD.name: "0"})
    announce("starting the project to see which files it reads")
    began = await observe(project, inputs, options, note_files=True)
    announce("starting the project with an empty page cache to see which parts of the files it reads")
    await asyncio.to_thread(drop, pick_method(), began.files)
    await observe(project, inputs, options)
    places = Places.of(options.python, project.root)
    return await asyncio.to_thread(_ranges, began.files, places)


def _ranges(files: Iterable[Path], places: Places) -> list[FileRanges]:
    found = []
    for path in sorted(files):
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                continue
            ranges = resident_ranges(path, gap_bytes=GAP_BYTES)
        except OSError:  # removed meanwhile
            continue
        if ranges:
            found.append(FileRanges(places.shorten(path), tuple(ranges)))
    return sorted(found, key=lambda file: (file.read_bytes, file.path))

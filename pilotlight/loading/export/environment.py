"""An environment of its own for an exporter whose package versions are not those that we serve with.

It lies over the environment that runs the command: what both agree on (torch, numpy, openvino) is not installed twice,
what the exporter pins comes first. Made once, then reused; another set of pins is another folder.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pilotlight.config.variables import CACHE, cache_folder
from pilotlight.errors import ConfigError, PilotlightError
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.progress import Watcher

__all__ = ["CACHE_VARIABLE", "ExporterError", "environment", "run_logged"]

CACHE_VARIABLE = CACHE.name
DONE = "complete"
# What the exporters and their packages may not do behind our back.
QUIET = {"CI": "true", "NNCF_CI": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONNOUSERSITE": "1"}
LOG_TAIL_LINES = 15


class ExporterError(PilotlightError):
    """A program that we started for an export failed; the message has the end of what it printed."""


def environment(requirements: Path, environ: Mapping[str, str], watcher: Watcher) -> Path:
    """The Python of the environment that has ``requirements``, which is made now if it is not there.

    Args:
        requirements: a file of exact pins, complete but for torch, numpy and openvino.
        environ: ``PILOTLIGHT_CACHE`` or ``XDG_CACHE_HOME`` says where it goes; else ``~/.cache``.
        watcher: told what happens.

    Raises:
        ConfigError: this environment lacks what the other one lies over.
        ExporterError: pip failed.
    """
    below = sorted({sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]})
    if not any((Path(path) / "torch").is_dir() for path in below):
        raise ConfigError("an export reads the model with torch, which is not installed: install requirements.txt")
    stamp = "\n".join([sys.version, *below, requirements.read_text("utf-8")])
    name = f"{requirements.stem}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    folder = cache_folder(environ) / name
    python = folder / "env" / "bin" / "python"
    with folder_lock(folder, on_wait=lambda: watcher.note(f"waiting for another process that is making {folder}")):
        if not (folder / DONE).is_file():
            watcher.note(f"making an environment for the exporter in {folder} (once; 150 MB or more, a minute or two)")
            _make(folder, python, below, requirements, environ)
            (folder / DONE).touch()
    return python


def run_logged(command: Sequence[str | Path], environ: Mapping[str, str], on_line: Callable[[str], None]) -> None:
    """Run ``command`` to its end, each line of its stdout to ``on_line``; whatever interrupts us ends it too.

    Raises:
        ExporterError: it failed; with the end of its stderr.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            command, env={**environ, **QUIET}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None, "a pipe was asked for: this is a bug"
            for line in process.stdout:
                on_line(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            process.kill()  # it writes into folders that we remove; nothing of it is worth an orderly end
            raise
        if status != 0:
            log.seek(0)
            tail = "\n".join(log.read().splitlines()[-LOG_TAIL_LINES:])
            raise ExporterError(f"{Path(command[0]).name} ended with status {status}:\n{tail}")


def _make(folder: Path, python: Path, below: list[str], requirements: Path, environ: Mapping[str, str]) -> None:
    shutil.rmtree(folder / "env", ignore_errors=True)  # of a process that was killed
    run_logged([sys.executable, "-m", "venv", folder / "env"], environ, _ignore)
    found: list[str] = []
    run_logged([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], environ, found.append)
    Path(found[0], "below.pth").write_text("".join(f"{path}\n" for path in below))
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run_logged([*pip, "--requirement", requirements], environ, _ignore)


def _ignore(line: str) -> None:
    """Ignore the stdout of pip and venv: their errors are on stderr."""

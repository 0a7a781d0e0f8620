"""Read the machine, the software and the project that a result is measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pilotlight.bench.harness.documents import Environment
from pilotlight.bench.harness.gpus import read_gpus
from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.names import MANIFEST_NAME

__all__ = ["load_1m", "read_environment", "read_revision", "shown_variables", "weight_hashes"]

_LIMIT_S = 60.0
_LIST_PACKAGES = """
import json, platform
from importlib.metadata import distributions
found = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
print(json.dumps([platform.python_version(), found]))
"""
_SECRET_WORDS = ("TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL", "AUTH")


def read_environment(python: Path) -> Environment:
    """Return the machine's current state, and the environment of ``python``.

    Raises:
        ConfigError: ``python`` does not run.
    """
    version, packages = _packages(python)
    return Environment(
        cpu_model=_cpu_model(),
        cores=_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        governor=_first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_1m=load_1m(),
        system=platform.system(),
        kernel=platform.release(),
        python=version,
        packages=packages,
        gpus=read_gpus(),
    )


def load_1m() -> float:
    """Return the average number of runnable processes over the last minute."""
    return round(os.getloadavg()[0], 2)


def read_revision(folder: Path) -> str | None:
    """Return the git commit of ``folder``, with ``-dirty`` if files differ from it; ``None`` outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return f"{commit}-dirty" if _git(folder, "status", "--porcelain", "--", ".") else commit


def weight_hashes(files: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Return the sha256 by file, by folder name, from the manifests of the model folders that contain ``files``.

    A folder without a readable manifest is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in sorted({path.parent for path in files}):
        if (folder / MANIFEST_NAME).is_file():
            with suppress(WeightsError):
                found[folder.name] = {file.name: file.sha256 for file in read_manifest(folder).files}
    return found


def shown_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the values of those whose names suggest a secret."""
    return {
        name: "(not recorded)" if any(word in name.upper() for word in _SECRET_WORDS) else value
        for name, value in variables.items()
    }


def _packages(python: Path) -> tuple[str, dict[str, str]]:
    try:
        done = subprocess.run(
            [str(python), "-c", _LIST_PACKAGES], capture_output=True, text=True, timeout=_LIMIT_S, check=True
        )
        version, found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigError(f"{python} does not run Python code ({error}); give another --python") from error
    return version, dict(sorted(found.items()))


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _git(folder: Path, *arguments: str) -> str:
    """Return git's output; an empty string if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

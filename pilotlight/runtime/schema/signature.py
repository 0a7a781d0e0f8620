"""A project's signatures, read by its own Python in a process of its own, and remembered.

Importing a predictor may take seconds (torch) and may do anything, so it never happens in this process, and only when
something that it could depend on has changed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypedDict

from pilotlight.config.tokens import predictor_environment
from pilotlight.errors import ConfigError, PilotlightError, SetupFailedError, WorkerTimeoutError
from pilotlight.runtime.environment_advice import environment_advice
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.built import KNOWN_COG
from pilotlight.runtime.schema.cache import digest, recall, remembered, save_for_server
from pilotlight.runtime.schema.document import Input, Signature
from pilotlight.runtime.server.process import run_group

__all__ = ["IMPORT_LIMIT_S", "Failure", "Findings", "Input", "PredictorRefusedError", "Signature", "read_signatures"]

_PROBE = Path(__file__).with_name("probe")
_CACHE_NAME = "pilotlight.json"
IMPORT_LIMIT_S = 600.0
# A shell's exit status for a command that is no program, or is not there.
_NOT_STARTED = (126, 127)


class PredictorRefusedError(ConfigError):
    """The predictor can be imported, but Cog cannot serve it."""


class Findings(TypedDict):
    """What the probe found: cog's version, a signature for each handler, and the files that they may depend on."""

    cog: str
    signatures: dict[str, Signature]
    files: list[str]


class Failure(TypedDict):
    """Why there are no findings: ``ref`` could not be imported, Cog cannot serve it, or there is no cog."""

    kind: Literal["import", "refused", "cog"]
    ref: str
    message: str
    where: str
    trace: str


def read_signatures(
    project: Project, python: Path, *, import_limit_s: float = IMPORT_LIMIT_S
) -> tuple[str, dict[str, Signature]]:
    """Cog's version and the signatures by handler, ``predict`` and perhaps ``train``.

    They are kept in ``.cog/pilotlight.json`` and used again while all of this is unchanged: the content of every file
    in the project that was opened while the predictor was imported (its own modules, and data such as a list of
    choices), the names of the modules in the project's folder (a new one may be imported instead of another), cog's
    inspector and version, this reader, the Python executable, cog.yaml's references and variables. Not seen:
    variables of the calling process, other packages, files over 4 MiB. Remove ``.cog`` after such a change.

    Raises:
        PredictorRefusedError: Cog cannot serve the predictor.
        ConfigError: ``python`` has no cog, or cannot be run.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        WorkerTimeoutError: the import took longer than ``import_limit_s``.
    """
    cache, key = project.root / ".cog" / _CACHE_NAME, _key(project, python)
    known = recall(cache, key)
    if known is not None:
        return known["cog"], known["signatures"]
    found = _probe(project, python, import_limit_s)
    learned = {"cog": found["cog"], "signatures": found["signatures"]}
    save_for_server(cache, remembered(key, found["files"], learned))
    return found["cog"], found["signatures"]


def _key(project: Project, python: Path) -> str:
    """Everything that the signatures depend on, but for the files which only the import itself can tell."""
    parts = [
        [digest(path) for path in sorted(_PROBE.glob("*.py"))],
        str(python),
        str(project.root),
        project.server_environment(),
        sorted(_importable(project.root)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _importable(folder: Path) -> Iterable[str]:
    for entry in folder.iterdir():
        if entry.suffix == ".py" or (entry / "__init__.py").exists():
            yield entry.name


def _probe(project: Project, python: Path, limit_s: float) -> Findings:
    environment = {**predictor_environment(os.environ), **project.server_environment()}
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment.get('PATH', '')}"
    refs = [project.predict_ref, *([project.train_ref] if project.train_ref else [])]
    if not os.access(python, os.X_OK):
        problem = os.strerror(errno.EACCES if python.exists() else errno.ENOENT)
        raise ConfigError(f"{python} cannot be run: {problem}; give the project's Python")
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder, "result.json"), Path(folder, "log")
        try:
            with log.open("wb") as output:
                argv = [str(python), str(_PROBE), str(result), *refs]
                status = run_group(argv, cwd=project.root, env=environment, output=output, timeout_s=limit_s)
        except subprocess.TimeoutExpired as error:
            logs = log.read_text(encoding="utf-8", errors="replace")
            message = f"{project.predict_ref} was not imported within {limit_s:g} s"
            raise WorkerTimeoutError(message, logs=logs) from error
        logs = log.read_text(encoding="utf-8", errors="replace")
        if not result.exists():
            if status in _NOT_STARTED:
                raise ConfigError(f"{python} cannot be run: {logs.strip()}; give the project's Python")
            message = f"{project.predict_ref} ended Python (status {status}) while it was imported"
            raise SetupFailedError(message, logs=logs)
        report = json.loads(result.read_text(encoding="utf-8"))
    if "kind" in report:
        raise _error(report, project, python, logs)
    findings: Findings = report
    return findings


def _error(failure: Failure, project: Project, python: Path, logs: str) -> PilotlightError:
    if failure["kind"] == "cog":
        known = f"pip install cog=={KNOWN_COG}"
        return ConfigError(f"{python} cannot import what we need of cog ({failure['message']}); install it: {known}")
    if failure["kind"] == "refused":
        return PredictorRefusedError(f"{project.root / failure['ref']}: {failure['message']}")
    where = f" ({failure['where']})" if failure["where"] else ""
    advice = environment_advice(failure["message"], project, python)
    message = f"{failure['ref']} cannot be imported: {failure['message']}{where}{advice}"
    return SetupFailedError(message, logs=logs + failure["trace"])

"""``.cog/openapi_schema.json``: what the Cog server validates inputs with, and without which it validates nothing.

In an image the file comes from Cog's build tool, which reads the source; here it is read by the same rules. Only a
predictor that the build tool does not take is imported for it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.built import read_built
from pilotlight.runtime.schema.cache import save_for_server
from pilotlight.runtime.schema.document import Signature, document, streaming_everywhere
from pilotlight.runtime.schema.image_check import OWN_SCHEMA
from pilotlight.runtime.schema.signature import IMPORT_LIMIT_S, PredictorRefusedError, read_signatures
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError


def schema_for(
    project: Project, *, python: Path | None = None, import_limit_s: float = IMPORT_LIMIT_S
) -> dict[str, Any]:
    """Return the project's OpenAPI document, as Cog's build tool would put it into the image.

    A file named by the variable ``COG_OPENAPI_SCHEMA`` is taken instead, as the build tool does. Where the build tool
    would refuse the source, or it is written for another Python, the predictor is imported, in a process of its own,
    unless nothing has changed since the last time; ``image_check.build_refusal`` tells of this.

    Args:
        project: its source is read.
        python: an interpreter with cog and all that the predictor imports; the running one by default.
        import_limit_s: how long an import may take.

    Raises:
        ConfigError: Cog cannot serve this predictor; the message says what about it.
        SetupFailedError: the predictor had to be imported and could not be; carries what it printed.
        WorkerTimeoutError: the import took longer than ``import_limit_s``.
    """
    own = os.environ.get(OWN_SCHEMA)
    if own:
        return _read_own(project.root / own)
    try:
        return read_built(project, keep=True).document
    except UnknownSyntaxError:
        return _imported(project, python, import_limit_s)
    except BuildRefusedError as refusal:
        try:
            return _imported(project, python, import_limit_s)
        except PredictorRefusedError:
            raise ConfigError(f"{project.root}: cog build refuses this predictor: {refusal}") from refusal


def _imported(project: Project, python: Path | None, import_limit_s: float) -> dict[str, Any]:
    cog_version, signatures = _signatures(project, python, import_limit_s)
    return document(signatures["predict"], signatures.get("train"), cog_version=cog_version)


def _signatures(project: Project, python: Path | None, import_limit_s: float) -> tuple[str, dict[str, Signature]]:
    interpreter = (python or Path(sys.executable)).absolute()
    return read_signatures(project, interpreter, import_limit_s=import_limit_s)


def require_import(project: Project, *, python: Path | None = None) -> None:
    """Import the predictor, unless nothing has changed since the last time: a schema alone does not show that it runs.

    Raises:
        ConfigError: ``python`` has no cog, or cannot be run.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        WorkerTimeoutError: the import took too long.
    """
    with suppress(PredictorRefusedError):  # whether Cog takes its signature is for the build tool to say
        _signatures(project, python, IMPORT_LIMIT_S)


def ensure_schema(project: Project, *, python: Path | None = None) -> Path:
    """Write ``.cog/openapi_schema.json`` where it is missing or stale, and return its path.

    It differs from ``schema_for`` in one flag: server-sent events are allowed for every predictor, where Cog's build
    tool allows them only under ``@cog.streaming``. Only they carry the logs of a failed prediction, so whoever drives
    the server here needs them; a client that does not ask for them sees no difference.

    Arguments and errors are those of ``schema_for``.
    """
    path = project.root / ".cog" / "openapi_schema.json"
    text = json.dumps(streaming_everywhere(schema_for(project, python=python)), separators=(",", ":"))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        save_for_server(path, text)
    return path


def _read_own(path: Path) -> dict[str, Any]:
    try:
        own = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{OWN_SCHEMA}: {path} cannot be read as JSON: {error}") from error
    if not isinstance(own, dict) or "post" not in own.get("paths", {}).get("/predictions", {}):
        raise ConfigError(f"{OWN_SCHEMA}: {path} describes no POST /predictions; give an OpenAPI document of Cog's")
    return own

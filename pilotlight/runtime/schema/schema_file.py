"""``.cog/openapi_schema.json``: what the Cog server validates inputs with, and without which it validates nothing.

In an image the file comes from Cog's build tool; here it is written by the same rules, without Docker.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.document import document, streaming_everywhere
from pilotlight.runtime.schema.signature import IMPORT_LIMIT_S, read_signatures, save_for_server

_OWN_SCHEMA = "COG_OPENAPI_SCHEMA"


def schema_for(
    project: Project, *, python: Path | None = None, import_limit_s: float = IMPORT_LIMIT_S
) -> dict[str, Any]:
    """Return the project's OpenAPI document, as Cog's build tool would put it into the image.

    A file named by the variable ``COG_OPENAPI_SCHEMA`` is taken instead, as the build tool does.

    Args:
        project: its predictor is imported, in a process of its own, unless nothing has changed since the last time.
        python: an interpreter with cog and all that the predictor imports; the running one by default.
        import_limit_s: how long that import may take.

    Raises:
        ConfigError: Cog cannot serve this predictor; the message says what about it.
        SetupFailedError: the predictor's module could not be imported; carries what it printed.
        WorkerTimeoutError: the import took longer than ``import_limit_s``.
    """
    own = os.environ.get(_OWN_SCHEMA)
    if own:
        return _read_own(project.root / own)
    interpreter = (python or Path(sys.executable)).absolute()
    cog_version, signatures = read_signatures(project, interpreter, import_limit_s=import_limit_s)
    return document(signatures["predict"], signatures.get("train"), cog_version=cog_version)


def ensure_schema(project: Project, *, python: Path | None = None) -> Path:
    """Write ``.cog/openapi_schema.json`` where it is missing or stale, and return its path.

    It differs from ``schema_for`` in one flag: server-sent events are allowed for every predictor, where Cog's build
    tool allows them only under ``@cog.streaming``. Only they carry the logs of a failed prediction, so whoever drives
    the server here needs them; a client that does not ask for them sees no difference.

    What was learned about the predictor is reused while its sources are unchanged (``read_signatures`` says what
    counts as that), so this is cheap to call before every start. Arguments and errors are those of ``schema_for``.
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
        raise ConfigError(f"{_OWN_SCHEMA}: {path} cannot be read as JSON: {error}") from error
    if not isinstance(own, dict) or "post" not in own.get("paths", {}).get("/predictions", {}):
        raise ConfigError(f"{_OWN_SCHEMA}: {path} describes no POST /predictions; give an OpenAPI document of Cog's")
    return own

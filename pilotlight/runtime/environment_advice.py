"""What to change where a predictor does not load because of the Python that it runs in."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pilotlight.runtime.project import Project

_MISSING = re.compile(r"No module named ['\"]")
# What a newer Python has and an older one has not: syntax, names, modules.
_OLDER = re.compile(
    r"\bSyntaxError\b|\bImportError\b|\bModuleNotFoundError\b|\bAttributeError: module\b|invalid syntax"
)


def environment_advice(reason: str, project: Project, python: Path) -> str:
    """Return what to add to the message of a failed import or setup: "" where the environment is not the reason.

    Args:
        reason: the message of the exception.
        project: what failed.
        python: the interpreter that ran it.
    """
    advice = []
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = ".".join((project.python_version or "").split(".")[:2])
    if wanted and wanted != here and python == Path(sys.executable) and _OLDER.search(reason):
        advice.append(f"the project is for Python {wanted} and this is {here}: give a Python {wanted} with --python")
    if _MISSING.search(reason):
        install = "install what cog.yaml lists"
        if project.requirements is not None:
            install = f"run {python} -m pip install -r {project.requirements}"
        advice.append(f"{python} does not have it: {install}, or give the Python that has it with --python")
    return "".join(f"; {one}" for one in advice)

"""The common part of every result file of ``pilotlight bench``, and how results are written, read and compared.

Each kind of result (``bench/cold/results.py`` and others) is one ``Document`` with its own ``format`` name. It holds
raw values, so that a report can be made from the file alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pilotlight.errors import UsageError
from pilotlight.util.files import write_atomically

__all__ = [
    "Document",
    "Environment",
    "Gpu",
    "Outcome",
    "ProjectInfo",
    "Strict",
    "read_document",
    "require_same",
    "write_document",
]

D = TypeVar("D", bound="Document")
Outcome = Literal["succeeded", "setup_failed", "timed_out", "out_of_memory", "crashed", "prediction_failed"]


class Strict(BaseModel):
    """A part of a file: frozen, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gpu(Strict):
    """One GPU; ``memory_bytes`` is ``None`` if the driver does not report it, as for a part of a GPU."""

    name: str
    driver: str
    memory_bytes: int | None


class Environment(Strict):
    """The machine and the worker's Python.

    Attributes:
        cores: the number of cores that this process may use.
        governor: the frequency governor of the first core; ``None`` if not visible, as in most virtual machines.
        load_1m: the average number of runnable processes before the first start.
        packages: versions by name, in the environment of the worker's Python.
        gpus: the NVIDIA GPUs in the driver's order.
    """

    cpu_model: str
    cores: int
    memory_bytes: int
    governor: str | None
    load_1m: float
    system: str
    kernel: str
    python: str
    packages: dict[str, str]
    gpus: tuple[Gpu, ...] = ()


class ProjectInfo(Strict):
    """The project that was started.

    Attributes:
        env: the given variables without the values that could be secret.
        inputs: the inputs of its predictions; ``None`` if it failed before they were known.
        revision: the git commit, with ``-dirty`` if files differ from it; ``None`` outside a repository.
        weights: sha256 by file, by model folder, from the manifests of the folders that it reads.
    """

    name: str
    env: dict[str, str]
    inputs: dict[str, Any] | None
    revision: str | None
    weights: dict[str, dict[str, str]]


class Document(Strict):
    """One run of a subcommand of ``pilotlight bench``.

    A kind of result adds ``format`` and ``format_version`` (both ``Literal``, with a default) and its raw values.

    Attributes:
        finished: ``False`` if the run was interrupted.
    """

    created_at: datetime
    finished: bool
    environment: Environment
    projects: tuple[ProjectInfo, ...]


def write_document(document: Document, path: Path) -> None:
    """Replace ``path`` atomically, so that readers never see a partial file.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        write_atomically(path, document.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {os.strerror(error.errno or 0)}; choose another --out") from error


def read_document(kind: type[D], path: Path) -> D:
    """Return the result in a file.

    Raises:
        UsageError: the file cannot be read, or is not a result of that kind.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        name, version = (kind.model_fields[key].default for key in ("format", "format_version"))
        raise UsageError(f"{path} is not a {name} of version {version}: {place}: {first['msg']}") from error


def require_same(where: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Require that two results to be merged have the same values.

    Raises:
        UsageError: a value differs; the message names the first one.
    """
    for key in first:
        if first[key] == second[key]:
            continue
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            differ = sorted(
                name for name in first[key].keys() | second[key].keys() if first[key].get(name) != second[key].get(name)
            )
            _refuse(f"{where}, {key}, {differ[0]}", first[key].get(differ[0]), second[key].get(differ[0]))
        _refuse(f"{where}, {key}", first[key], second[key])


def _refuse(where: str, first: object, second: object) -> None:
    raise UsageError(
        f"these results cannot be merged: {where} is {first!r} in one and {second!r} in the other; "
        "measure both on one machine in the same state"
    )

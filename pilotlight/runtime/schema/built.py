"""The OpenAPI document that ``cog build`` writes for a project: read from its source, nothing imported."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError
from pilotlight.runtime.project import Project
from pilotlight.runtime.schema.cache import digest, recall, remembered, save_for_server
from pilotlight.runtime.schema.document import document
from pilotlight.runtime.schema.document_check import document_problems
from pilotlight.runtime.schema.static.errors import BuildRefusedError
from pilotlight.runtime.schema.static.reader import read_handler
from pilotlight.runtime.schema.static.unread import UnreadValue

# The release of Cog's build tool whose rules these are; it writes its own release into the document.
KNOWN_COG = "0.23.1"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Built:
    """What the build tool makes of a source.

    Attributes:
        document: the OpenAPI document.
        unread: what the source says of its inputs and the document does not.
    """

    document: dict[str, Any]
    unread: tuple[UnreadValue, ...]


def read_built(project: Project, *, keep: bool = False) -> Built:
    """Return the document of a project as the build tool writes and checks it.

    Args:
        project: its source is read, with all files of the project that its predictor imports, which can be many.
        keep: whether to write it to ``.cog/built.json``, from where it is used again while these files are unchanged.

    Raises:
        BuildRefusedError: the build tool does not take it; the message says where and what to change.
        UnknownSyntaxError: a file is not valid for the running Python.
    """
    cache, key = project.root / ".cog" / "built.json", _key(project)
    known = recall(cache, key)
    if known is not None:
        return Built(known["document"], tuple(UnreadValue(**one) for one in known["unread"]))
    built, files = _read(project)
    if not keep:
        return built
    learned = {"document": built.document, "unread": [asdict(one) for one in built.unread]}
    paths = [str(project.root / file) for file in files]
    with suppress(ConfigError):  # without it the sources are read again
        save_for_server(cache, remembered(key, paths, learned))
    return built


def _key(project: Project) -> str:
    """Return what the document depends on beside the sources: this reader, and what cog.yaml names."""
    refs = [str(project.root), project.predict_ref, project.train_ref, KNOWN_COG]
    readers = [*_HERE.joinpath("static").glob("*.py"), *_HERE.glob("document*.py"), Path(__file__)]
    return hashlib.sha256(json.dumps([*refs, *(digest(path) for path in sorted(readers))]).encode()).hexdigest()


def _read(project: Project) -> tuple[Built, set[str]]:
    """Return the document, and the files that were looked for."""
    predict = read_handler(project.root, project.predict_ref)
    train = None if project.train_ref is None else read_handler(project.root, project.train_ref, "train")
    result = document(predict.signature, None if train is None else train.signature, cog_version=KNOWN_COG)
    problem = next(document_problems(result), None)
    if problem is not None:
        raise BuildRefusedError(problem, file=project.predict_ref.partition(":")[0])
    handlers = [predict] if train is None else [predict, train]
    unread = tuple(one for handler in handlers for one in handler.unread)
    return Built(result, unread), {file for handler in handlers for file in handler.files}

"""Registries whose versions were put there without a push, which would have to import them."""

import copy
import shutil

from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.snapshot import Snapshot, SnapshotFile
from tests.gateway.made import DOCUMENT
from tests.paths import PROJECTS

MODEL = "acme/hello"


def id_of(number):
    """Differs at its beginning, of which people are shown as much as they compare."""
    return f"{number:04x}{'ab' * 30}"


def number_of(version):
    """Of a version here, or of one of ``made``."""
    return int(version[:4], 16) or int(version, 16)


def registered(root, *numbers, model=MODEL, document=DOCUMENT):
    """The registry in ``root``, to which these versions of a model were added in this order."""
    registry = Registry(root)
    for number in numbers:
        folder = registry.folder(id_of(number))
        if not folder.exists():
            shutil.copytree(PROJECTS / "run_text", folder, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
        files = (SnapshotFile("predict.py", "0" * 64, 1, executable=False),)
        snapshot = Snapshot(id_of(number), files)
        registry.add_version(model, snapshot, document=document, cog_version="0.23.1", now=100.0 + number)
    return registry


def without_input(name):
    """The document of ``made``, in which that input is no more."""
    document = copy.deepcopy(DOCUMENT)
    del document["components"]["schemas"]["Input"]["properties"][name]
    return document

"""Which tests share a process when several run side by side, in which order they begin, and which are slow.

Tests of one file run in one process, for they share what the file's fixtures have started. A few files start something
expensive once for each first parameter (a platform, an engine): those are split by it. What takes longest begins first,
so that no process is left with a long file at the end. A plugin of pytest: ``tests/conftest.py`` takes its hooks.

Nothing here is needed for tests to be right: each file passes alone and beside any other.
"""

from __future__ import annotations

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

__all__ = ["group_of", "marks_of", "pytest_collection_modifyitems", "pytest_xdist_make_scheduler", "rank_of"]

# Files whose first parameter names what is started for it; tests of these files with the same one share a process.
SPLIT = {
    "tests/client/test_conformance.py": "conformance",
    "tests/client/test_conformance_ends.py": "conformance",
    "tests/client/test_conformance_many.py": "conformance",
    "tests/client/test_conformance_values.py": "conformance",
    "tests/cog/test_predictor.py": "tests/cog/test_predictor.py",
    "tests/docs/test_commands.py": "tests/docs/test_commands.py",
    "tests/engines/test_engines.py": "tests/engines/test_engines.py",
}

# Begin in this order, before all others: each of them takes longer than most files.
FIRST: tuple[str, ...] = (
    "tests/cog/test_predictor.py",
    "tests/adapters/ray/",
    "tests/cli/bench/test_cold.py",
    "tests/cli/model/",
    "conformance",
    "tests/engines/openvino/",
    "tests/engines/torch/test_engine.py",
    "tests/engines/test_engines.py",
    "tests/cli/test_doctor.py",
    "tests/docs/test_commands.py",
    "tests/gateway/registry/test_push.py",
    "tests/test_scripts.py",
    "tests/scripts/",
    "tests/cli/bench/",
    "tests/cog/",
    "tests/runtime/schema/test_schema_file.py",
)

# What starts a real Cog server, by the beginnings of paths.
COG: tuple[str, ...] = (
    "tests/adapters/clouds/test_platforms.py",
    "tests/adapters/clouds/test_runpod_official.py",
    "tests/adapters/ray/",
    "tests/cli/bench/",
    "tests/cli/gateway/test_serve.py",
    "tests/cli/gateway/test_watching.py",
    "tests/cli/predict/",
    "tests/cli/serve/",
    "tests/cli/test_doctor.py",
    "tests/client/test_conformance",
    "tests/client/test_killed.py",
    "tests/client/webhooks/test_route.py",
    "tests/cog/",
    "tests/scripts/checks/",
    "tests/scripts/measure/",
)

# What takes long without one: models, exports, many processes.
SLOW: tuple[str, ...] = (
    "tests/bench/cold/test_records.py",
    "tests/bench/report/pages/",
    "tests/bench/systems/",
    "tests/cli/model/",
    "tests/engines/onnx/",
    "tests/engines/openvino/",
    "tests/engines/test_",
    "tests/engines/torch/",
    "tests/gateway/registry/test_push.py",
    "tests/gateway/storage/test_store.py",
    "tests/runtime/schema/test_schema_file.py",
    "tests/scripts/test_shell.py",
    "tests/scripts/train/",
    "tests/test_scripts.py",
    "tests/test_termination.py",
)


def group_of(node: str) -> str:
    """Return the group that a test of this node id belongs to: its file, or one parameter of it."""
    file = node.partition("::")[0]
    if file in SPLIT:
        parameters = re.search(r"\[([^-\]]+)", node)
        return f"{SPLIT[file]}[{parameters[1] if parameters else ''}]"
    return file


def rank_of(group: str) -> int:
    """Return when a group begins: its place in ``FIRST``, or after all of those."""
    return next((place for place, first in enumerate(FIRST) if group.startswith(first)), len(FIRST))


def marks_of(file: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a file's tests."""
    marks = {"cog": COG, "slow": SLOW}
    return [getattr(pytest.mark, name) for name, beginnings in marks.items() if file.startswith(beginnings)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for mark in marks_of(item.nodeid.partition("::")[0]):
            item.add_marker(mark)
    if hasattr(config, "workerinput"):  # one of xdist's processes
        items.sort(key=lambda item: rank_of(group_of(item.nodeid)))


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the tests of a group together, groups in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:  # what xdist says to override
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # by the number of their tests
    return _ByGroup(config, log)

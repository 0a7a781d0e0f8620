"""How the whole suite runs: ``tests/distribution.py`` and ``tests/termination.py``, whose hooks these are."""

from tests.distribution import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.termination import pytest_configure, pytest_runtest_call, pytest_runtest_setup

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_xdist_make_scheduler",
]

"""How the whole suite runs: ``tests/distribution.py`` and ``tests/termination.py``, whose hooks these are."""

from hypothesis import HealthCheck, settings

from tests.distribution import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.termination import pytest_configure, pytest_runtest_call, pytest_runtest_setup

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_xdist_make_scheduler",
]

# An example may take long on a busy machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

"""SIGTERM ends a test run in order, as Ctrl-C does: what fixtures have started is ended, and nothing runs on.

Code under test may install a handler of its own and leave it there, which would take the signal and let the run go on.
So the handler is installed again before each test begins. A plugin of pytest: ``tests/conftest.py`` takes its hooks.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

import pytest

__all__ = ["pytest_configure", "pytest_runtest_call", "pytest_runtest_setup"]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt("SIGTERM")


def _install() -> None:
    if signal.getsignal(signal.SIGTERM) is not _interrupt:
        signal.signal(signal.SIGTERM, _interrupt)


def pytest_configure() -> None:
    _install()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    _install()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    _install()  # a fixture may have been the one

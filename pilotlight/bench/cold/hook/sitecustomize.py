"""Record when each Python process of the measured worker starts, and how long each import takes.

``bench/cold/records.py`` puts this folder first on the worker's ``PYTHONPATH`` and reads the records. This module uses
nothing of pilotlight and imports almost nothing, since its own cost is part of the measurement (3 microseconds per
module, and 20 to write an outermost import). The loader is timed while a module's code runs; the time of the search for
its file counts for the importing module.
"""

import importlib.machinery
import os
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

_FOLDER = os.environ.get("PILOTLIGHT_STAMPS", "")
_PREDICTOR = os.environ.get("PILOTLIGHT_STAMPS_PREDICTOR", "")
_PREDICTOR_NAME = os.path.basename(_PREDICTOR)  # noqa: PTH119 - no pathlib
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class _Thread(threading.local):
    """The imports running on one thread: their depth, and the lines of those that have ended."""

    def __init__(self) -> None:
        self.depth = 0
        self.lines: list[str] = []


_thread = _Thread()


def _write(lines: list[str]) -> None:
    """Write to the file named after the current process id, since a fork has its own file."""
    try:
        file = os.open(f"{_FOLDER}/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # the measuring process has ended
    try:
        os.write(file, "".join(lines).encode("utf-8", "backslashreplace"))
    finally:
        os.close(file)


def _line(kind: str, start_ns: int, end_ns: int, name: str) -> str:
    return f"{kind}\t{start_ns}\t{end_ns}\t{threading.get_ident()}\t{name}\n"


def _kind(path: str) -> str:
    # The name is compared first: making every path absolute would cost more than everything else.
    if path.endswith(_PREDICTOR_NAME) and os.path.abspath(path) == _PREDICTOR:  # noqa: PTH100 - no pathlib
        return "predictor"
    return "import"


def _timed(method: Callable[[Any, ModuleType], None]) -> Callable[[Any, ModuleType], None]:
    """Return a loader's ``exec_module`` that also records the time."""

    def exec_module(self: Any, module: ModuleType) -> None:
        _thread.depth += 1
        start_ns = time.monotonic_ns()
        try:
            method(self, module)
            if module.__name__ == "torch.cuda":
                _time_device(module)
        finally:
            end_ns = time.monotonic_ns()
            _thread.depth -= 1
            _thread.lines.append(_line(_kind(self.path), start_ns, end_ns, module.__name__))
            if not _thread.depth:
                lines, _thread.lines = _thread.lines, []
                _write(lines)

    return exec_module


def _time_device(cuda: Any) -> None:
    """Record PyTorch's first start of CUDA as the stage ``device``; PyTorch looks this function up by name."""
    start = getattr(cuda, "_lazy_init", None)
    if start is None:
        return

    def lazy_init() -> None:
        cuda._lazy_init = start
        start_ns = time.monotonic_ns()
        try:
            start()
        finally:
            _write([_line("stage", start_ns, time.monotonic_ns(), "device")])

    cuda._lazy_init = lazy_init


def _created(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return ``create_module`` of a compiled module that also records the time, in which its libraries are loaded."""

    def create_module(self: Any, spec: Any) -> Any:
        start_ns = time.monotonic_ns()
        try:
            return method(self, spec)
        finally:
            _thread.lines.append(_line("import", start_ns, time.monotonic_ns(), spec.name))
            if not _thread.depth:
                lines, _thread.lines = _thread.lines, []
                _write(lines)

    return create_module


def _started_ns() -> int:
    """Return when this process was started, in steps of 10 ms; the current time if the system does not say."""
    now_ns = time.monotonic_ns()
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - no pathlib
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        # The ticks count from boot and include suspended time, which the monotonic clock leaves out.
        return now_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + ticks * 1_000_000_000 // _TICKS_PER_S
    except OSError:
        return now_ns


def _note_opened_files() -> None:
    """Record every file that Python code opens from now on; used only in a start that needs the list of files."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and not _noting.busy:
            _noting.busy = True  # writing opens a file too
            try:
                now_ns = time.monotonic_ns()
                _write([_line("open", now_ns, now_ns, os.path.abspath(arguments[0]))])  # noqa: PTH100
            finally:
                _noting.busy = False

    class _Noting(threading.local):
        busy = False

    _noting = _Noting()
    sys.addaudithook(note)


def _chain() -> None:
    """Run the ``sitecustomize`` that this one hides, if there is one."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    sys.path[:] = [folder for folder in sys.path if folder != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec  # only here: most environments have no other sitecustomize

        hidden = module_from_spec(spec)
        sys.modules["sitecustomize"] = hidden
        spec.loader.exec_module(hidden)


def _install() -> None:
    _write([_line("python", _started_ns(), time.monotonic_ns(), str(os.getppid()))])
    source, compiled = importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader
    for loader, name, timed in (
        (source, "exec_module", _timed),
        (compiled, "exec_module", _timed),
        (compiled, "create_module", _created),
    ):
        setattr(loader, name, timed(getattr(loader, name)))
    if os.environ.get("PILOTLIGHT_STAMPS_FILES"):
        _note_opened_files()


if _FOLDER:
    _install()
_chain()

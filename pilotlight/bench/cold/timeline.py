"""Compute the stages and the imports of one start from what was observed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pilotlight.bench.cold.records import ProcessRecord
from pilotlight.bench.cold.stages import Interval, union

__all__ = ["ImportTime", "Marks", "import_times", "timeline"]

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Marks:
    """The times that a worker's caller saw, in seconds of the monotonic clock.

    Attributes:
        spawned_s: the time just before the server process was started.
        setup_done_s: the end of ``setup()`` by the server's report.
        ready_s: the time of the first health check that reported READY.
        asked_s: the time when the first prediction was sent.
        answered_s: the time when it had ended.
    """

    spawned_s: float
    setup_done_s: float
    ready_s: float
    asked_s: float
    answered_s: float


@dataclass(frozen=True, slots=True)
class ImportTime:
    """A package and the time in its own modules' code, without the packages that these import."""

    package: str
    self_s: float
    modules: int


def timeline(processes: Mapping[int, Sequence[ProcessRecord]], marks: Marks) -> list[Interval]:
    """Return the known stages of one start, since the spawn.

    ``spawn`` is the work of Cog's server until it starts the predictor's process (accurate to 10 ms, the system's
    tick). ``setup`` goes from the end of the predictor's import to the end of ``setup()``.
    """
    setup_done_s = min(marks.setup_done_s, marks.ready_s)
    spans = [
        ("ready", setup_done_s, marks.ready_s),
        ("first_prediction", marks.asked_s, marks.answered_s),
        *_stamped(processes.values()),
    ]
    records = _of_predictor(processes)
    begun = next((record for record in records if record.kind == "python"), None)
    if begun is not None:
        # With steps of 10 ms, a start can seem to lie before the spawn.
        started_s = max(begun.start_ns * _NS, marks.spawned_s)
        spans += [("spawn", marks.spawned_s, started_s), ("interpreter", started_s, begun.end_ns * _NS)]
    spans += [("imports", one.start_ns * _NS, one.end_ns * _NS) for one in _imports(records)]
    imported_s = next((record.end_ns * _NS for record in records if record.kind == "predictor"), None)
    if imported_s is not None:
        spans.append(("setup", imported_s, setup_done_s))
    origin_s = marks.spawned_s
    return union([Interval(stage, start - origin_s, end - origin_s) for stage, start, end in spans if end > start])


def import_times(processes: Mapping[int, Sequence[ProcessRecord]]) -> list[ImportTime]:
    """Return the packages that the predictor's process imported, the slowest first; its own file as ``predictor``.

    A module's own time is its time without that of the modules that it imports; the own times sum to the time of all
    imports on one thread.
    """
    own_ns: dict[str, int] = {}
    modules: dict[str, set[str]] = {}
    by_thread: dict[int, list[ProcessRecord]] = {}
    for record in _imports(_of_predictor(processes)):
        by_thread.setdefault(record.thread, []).append(record)
    for records in by_thread.values():
        for record, self_ns in _self_times(records):
            package = "predictor" if record.kind == "predictor" else record.name.partition(".")[0]
            own_ns[package] = own_ns.get(package, 0) + self_ns
            modules.setdefault(package, set()).add(record.name)
    slowest = sorted(own_ns, key=lambda package: (-own_ns[package], package))
    return [ImportTime(package, own_ns[package] * _NS, len(modules[package])) for package in slowest]


def _of_predictor(processes: Mapping[int, Sequence[ProcessRecord]]) -> Sequence[ProcessRecord]:
    """Return the records of the process that imported the predictor; an empty sequence if there is none."""
    for records in processes.values():
        if any(record.kind == "predictor" for record in records):
            return records
    return ()


def _imports(records: Iterable[ProcessRecord]) -> list[ProcessRecord]:
    return [record for record in records if record.kind in ("import", "predictor")]


def _stamped(processes: Iterable[Sequence[ProcessRecord]]) -> list[tuple[str, float, float]]:
    return [
        (record.name, record.start_ns * _NS, record.end_ns * _NS)
        for records in processes
        for record in records
        if record.kind == "stage"
    ]


def _self_times(records: Sequence[ProcessRecord]) -> list[tuple[ProcessRecord, int]]:
    """Return each record of one thread with its time minus that of the records directly inside it."""
    ordered = sorted(records, key=lambda record: (record.start_ns, -record.end_ns))
    inner_ns = [0] * len(ordered)
    around: list[int] = []
    for index, record in enumerate(ordered):
        while around and ordered[around[-1]].end_ns <= record.start_ns:
            around.pop()
        if around:
            inner_ns[around[-1]] += record.end_ns - record.start_ns
        around.append(index)
    return [(one, one.end_ns - one.start_ns - inner) for one, inner in zip(ordered, inner_ns, strict=True)]

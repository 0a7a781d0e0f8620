"""From records to stages."""

import pytest

from pilotlight.bench.cold.records import ProcessRecord
from pilotlight.bench.cold.stages import Interval
from pilotlight.bench.cold.timeline import ImportTime, Marks, import_times, timeline

MARKS = Marks(spawned_s=100.0, setup_done_s=108.0, ready_s=109.0, asked_s=109.0, answered_s=110.0)


def record(kind, start_s, end_s, name="m", thread=1):
    return ProcessRecord(kind, round(start_s * 10**9), round(end_s * 10**9), thread, name)


SERVER = [record("python", 100.1, 100.2), record("import", 100.2, 100.5, "coglet")]
PREDICTOR = [
    record("python", 101, 102),
    record("import", 102, 103, "cog"),
    record("import", 104, 105, "torch"),
    record("predictor", 103.5, 106, "_predictor"),
    record("stage", 106.5, 107.5, "weights"),
]


def test_all_stages_since_the_spawn():
    found = timeline({7: SERVER, 8: PREDICTOR}, MARKS)
    assert [(one.stage, round(one.start_s, 6), round(one.end_s, 6)) for one in found] == [
        ("spawn", 0, 1),
        ("interpreter", 1, 2),
        ("imports", 2, 3),
        ("imports", 3.5, 6),
        ("setup", 6, 8),
        ("weights", 6.5, 7.5),
        ("ready", 8, 9),
        ("first_prediction", 9, 10),
    ]


def test_a_worker_that_wrote_nothing_is_known_from_its_server_only():
    assert timeline({}, MARKS) == [Interval("ready", 8, 9), Interval("first_prediction", 9, 10)]


def test_clocks_that_disagree_a_little_give_no_negative_stage():
    early = [record("python", 99.995, 102), record("predictor", 103, 106)]
    found = timeline({8: early}, Marks(100.0, 109.2, 109.0, 109.0, 110.0))
    assert all(one.end_s > one.start_s >= 0 for one in found)
    assert [one.stage for one in found] == ["interpreter", "imports", "setup", "first_prediction"]


def test_an_import_takes_what_is_left_without_the_imports_in_it():
    records = [
        record("predictor", 0, 10, "_predictor"),
        record("import", 1, 7, "torch"),
        record("import", 2, 3, "numpy.core"),
        record("import", 4, 6, "torch.nn"),
        record("import", 5, 5.5, "numpy.lib"),
        record("import", 0, 100, "other", thread=2),
    ]
    assert [(one.package, pytest.approx(one.self_s), one.modules) for one in import_times({8: records})] == [
        ("other", 100, 1),
        ("torch", 4.5, 2),
        ("predictor", 4, 1),
        ("numpy", 1.5, 2),
    ]


def test_the_server_s_own_imports_are_not_the_predictor_s():
    assert [one.package for one in import_times({7: SERVER, 8: PREDICTOR})] == ["predictor", "cog", "torch"]
    assert import_times({7: SERVER}) == []
    assert isinstance(import_times({8: PREDICTOR})[0], ImportTime)

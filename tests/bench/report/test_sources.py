"""Which files make a report, and which do not."""

import json

import pytest

from pilotlight.bench.calibrate.results import CalibrationFile
from pilotlight.bench.harness.documents import write_document
from pilotlight.bench.report.sources import read_sources
from pilotlight.errors import UsageError
from tests.bench.cold.cold_results import ENVIRONMENT
from tests.bench.report import made


@pytest.fixture
def saved(tmp_path):
    """Writes documents as files, and returns their paths."""

    def save(**documents):
        paths = []
        for name, document in documents.items():
            path = tmp_path / f"{name}.json"
            if isinstance(document, CalibrationFile):
                path.write_text(document.model_dump_json())
            else:
                write_document(document, path)
            paths.append(path)
        return paths

    return save


def refusal(paths):
    with pytest.raises(UsageError) as raised:
        read_sources(paths)
    return str(raised.value)


def test_every_kind_is_recognized_by_its_content(saved):
    calibration = made.calibration()
    found = read_sources(
        saved(a=CalibrationFile.of(calibration), b=made.closed_load(clients=(1,)), c=made.warm(), d=made.cold())
    )
    assert found.cold == made.cold()
    assert found.warm == made.warm()
    assert found.loads == {"plain": made.closed_load(clients=(1,))}
    assert found.calibration == calibration
    assert [name for name, _ in found.documents] == ["Cold start", "Warm-up", "Load: plain"]
    assert found.projects == ["plain", "ours"]


def test_runs_of_one_kind_become_one(saved):
    later = [made.cold_start("plain", number, 5.0 + number) for number in range(3)]
    found = read_sources(saved(a=made.cold((("plain", 4.0),)), b=made.cold((("plain", 4.0),), processes=later)))
    assert len(found.cold.measured("plain")) == 11


def test_runs_of_different_machines_do_not(saved):
    first = made.cold()
    other = made.cold(
        processes=(made.cold_start("plain", 0, 9.0),), environment=ENVIRONMENT.model_copy(update={"cores": 64})
    )
    assert "these results cannot be merged: environment, cores is 4 in one and 64" in refusal(saved(a=first, b=other))


def test_loads_keep_apart_under_names_that_say_what_differs(saved):
    one, other = made.closed_load(clients=(1,)), made.open_load(rates=(4.0,))
    assert list(read_sources(saved(a=one, b=other)).loads) == ["plain (closed loop)", "plain (open loop)"]
    assert list(read_sources(saved(a=one, b=one)).loads) == ["plain", "plain, run 2"]
    streamed = one.model_copy(update={"settings": one.settings.model_copy(update={"mode": "stream"})})
    assert list(read_sources(saved(a=one, b=streamed)).loads) == ["plain (one answer)", "plain (streamed)"]
    assert list(read_sources(saved(a=one, b=made.closed_load("ours", (1,)))).loads) == ["plain", "ours"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad.json is not a result: it is not JSON"),
        ("\x00", "bad.json is not a result: it is not JSON"),
        (
            "[1]",
            "bad.json is not a result: its format is None, not one of pilotlight-bench-cold, pilotlight-bench-warm",
        ),
        ('{"format": 7}', "its format is 7"),
        (
            '{"format": "pilotlight-bench-cold"}',
            "bad.json is not a pilotlight-bench-cold of version 2: created_at: Field",
        ),
        ('{"format": "pilotlight-bench-calibration"}', "that is only a calibration"),
    ],
)
def test_a_file_that_is_no_result(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert message in refusal([path])


def test_files_that_cannot_be_read_or_used(tmp_path, saved):
    assert "missing.json cannot be read: No such file" in refusal([tmp_path / "missing.json"])
    assert "cannot be read: Is a directory" in refusal([tmp_path])
    (calibration,) = saved(cal=CalibrationFile.of(made.calibration()))
    (cold,) = saved(cold=made.cold(runs=1))
    assert "are calibrations, but a report has only one" in refusal([cold, calibration, calibration])
    broken = json.loads(calibration.read_text())
    broken["figures"][1]["trials"] = "many"
    calibration.write_text(json.dumps(broken))
    assert "cal.json is not a pilotlight-bench-calibration of version 1: figures.1.trials: Input" in refusal(
        [cold, calibration]
    )

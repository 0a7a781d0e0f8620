"""Results as files, and what may be merged."""

import json

import pytest

from pilotlight.bench.cold.results import ColdResult, merge
from pilotlight.bench.harness.documents import read_document, write_document
from pilotlight.errors import UsageError
from tests.bench.cold.cold_results import ENVIRONMENT, GPU, SETTINGS, failure, info, result, start


def test_a_result_is_read_as_it_was_written(tmp_path):
    written = result(start(number=0), start(number=1), failure("plain", "crashed", "gone\nlast words"), finished=False)
    write_document(result(), tmp_path / "cold.json")
    write_document(written, tmp_path / "cold.json")
    assert read_document(ColdResult, tmp_path / "cold.json") == written
    assert [path.name for path in tmp_path.iterdir()] == ["cold.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 1}, "version 2: format_version"),
        ({"format": "pyperf"}, "version 2: format"),
        ({"mood": "good"}, "version 2: mood"),
    ],
)
def test_another_format_is_refused(tmp_path, changes, message):
    path = tmp_path / "cold.json"
    path.write_text(json.dumps({**json.loads(result().model_dump_json()), **changes}))
    with pytest.raises(UsageError, match=message):
        read_document(ColdResult, path)


def test_files_that_are_not_there_or_cannot_be(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file"):
        read_document(ColdResult, tmp_path / "none.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="folder cannot be written: Is a directory; choose another --out"):
        write_document(result(), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_merge_keeps_every_start_and_numbers_the_later_rounds_on():
    first = result(start(number=0), start(number=1))
    second = result(start(number=0), start("fast", 0), projects=(info(), info("fast")), finished=False)
    both = merge(first, second)
    assert [(one.project, one.round) for one in both.processes] == [
        ("plain", 0),
        ("plain", 1),
        ("plain", 2),
        ("fast", 2),
    ]
    assert [one.name for one in both.projects] == ["plain", "fast"]
    assert not both.finished
    assert both.settings.runs == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": ENVIRONMENT.model_copy(update={"cpu_model": "Model A"})}, "cpu_model is 'Model T' in one"),
        (
            {"environment": ENVIRONMENT.model_copy(update={"packages": {"cog": "0.23.1"}})},
            r"packages, torch is '2\.13\.0' in one and None in the other",
        ),
        ({"settings": SETTINGS.model_copy(update={"page_cache": "dropped"})}, "page_cache is 'hot'"),
        ({"settings": SETTINGS.model_copy(update={"compile_cache": "absent"})}, "compile_cache is 'present'"),
        ({"environment": ENVIRONMENT.model_copy(update={"gpus": (GPU,)})}, r"environment, gpus is \(\) in one and"),
        ({"projects": (info(revision="def"),)}, "project plain, revision is 'abc'"),
        ({"projects": (info(weights={"m": {"a.safetensors": "1" * 64}}),)}, "project plain, weights, m is"),
    ],
)
def test_different_machines_software_settings_or_models_do_not_merge(changes, message):
    with pytest.raises(UsageError, match=message):
        merge(result(start()), result(start(), **changes))


def test_a_different_load_or_seed_is_no_reason_not_to():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 3.0})
    again = SETTINGS.model_copy(update={"seed": 1, "runs": 3})
    assert len(merge(result(start()), result(start(), environment=busy, settings=again)).processes) == 2


def test_measured_leaves_out_failures_and_the_start_before_all():
    broken = failure("plain", "timed_out", "never ready")
    found = result(start(measured=False), start(number=1), broken, start("fast", 1))
    assert [one.round for one in found.measured("plain")] == [1]
    assert found.failures("plain") == [broken]

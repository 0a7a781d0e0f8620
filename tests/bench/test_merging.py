"""Result files of any kind as one."""

import json

import pytest

from pilotlight.bench.harness.documents import write_document
from pilotlight.bench.merging import merge_files
from pilotlight.errors import UsageError
from tests.bench.cold import cold_results
from tests.bench.warm import warm_results


def written(folder, **documents):
    paths = {name: folder / f"{name}.json" for name in documents}
    for name, document in documents.items():
        write_document(document, paths[name])
    return list(paths.values())


def test_several_cold_results(tmp_path):
    starts = [cold_results.start(number=0, wall_s=wall_s) for wall_s in (2.0, 3.0, 4.0)]
    merged = merge_files(written(tmp_path, a=cold_results.result(starts[0]), b=cold_results.result(*starts[1:])))
    assert [(one.round, one.wall_s) for one in merged.processes] == [(0, 2.0), (1, 3.0), (1, 4.0)]


def test_several_warm_results(tmp_path):
    one, two, three = (warm_results.result(warm_results.process(ready_s=1.5 + number)) for number in range(3))
    merged = merge_files(written(tmp_path, a=one, b=two, c=three))
    assert [(one.round, one.ready_s) for one in merged.processes] == [(0, 1.5), (1, 2.5), (2, 3.5)]


def test_a_run_that_is_given_twice_would_count_twice(tmp_path):
    one, two = (warm_results.result(warm_results.process(ready_s=1.5 + number)) for number in range(2))
    (first, second) = written(tmp_path, a=one, b=two)
    write_document(merge_files([first, second]), tmp_path / "both.json")
    with pytest.raises(UsageError, match=r"b\.json and the files before it: both contain the same processes"):
        merge_files([tmp_path / "both.json", second])


def test_processes_that_were_never_ready_are_not_the_same(tmp_path):
    broken = warm_results.result(warm_results.failure("plain", "setup_failed", "no weights"))
    assert len(merge_files(written(tmp_path, a=broken, b=broken)).processes) == 2


def test_what_differs_is_named_with_the_file(tmp_path):
    other = cold_results.ENVIRONMENT.model_copy(update={"kernel": "6.2"})
    paths = written(tmp_path, a=warm_results.result(), b=warm_results.result(environment=other))
    with pytest.raises(
        UsageError, match=r"b\.json .*cannot be merged: environment, kernel is '6\.1' in one and '6\.2'"
    ):
        merge_files(paths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "pilotlight-bench-load"}, "is a result of bench load; these cannot be merged"),
        ({"format": "pyperf"}, "is not a mergeable result: its format is 'pyperf'"),
        ([1], "its format is None"),
        ({"format": "pilotlight-bench-warm"}, "is a pilotlight-bench-warm, .* a pilotlight-bench-cold: give results"),
    ],
)
def test_other_kinds_are_refused(tmp_path, content, message):
    (first,) = written(tmp_path, a=cold_results.result())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        merge_files([first, other])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file"):
        merge_files([tmp_path / "none.json"])
    (tmp_path / "half.json").write_text('{"format":')
    with pytest.raises(UsageError, match=r"half\.json is not JSON"):
        merge_files([tmp_path / "half.json"])

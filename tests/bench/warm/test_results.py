"""Results as files, what they say, and what may be merged."""

import pytest

from pilotlight.bench.harness.documents import read_document, write_document
from pilotlight.bench.stats.warmup import Shape
from pilotlight.bench.warm.results import WarmResult, merge
from pilotlight.errors import UsageError
from tests.bench.cold.cold_results import ENVIRONMENT, info
from tests.bench.warm.warm_results import SETTINGS, failure, many, process, result, times, unmeasured


def test_a_result_is_read_as_it_was_written(tmp_path):
    lost = failure("plain", "crashed", "gone\nlast words", times_s=(0.1, 0.2))
    written = result(unmeasured(), *many("plain", (60, 0.02)), lost, finished=False)
    write_document(written, tmp_path / "warm.json")
    assert read_document(WarmResult, tmp_path / "warm.json") == written


def test_only_measured_processes_that_have_succeeded_count():
    broken = failure("plain", "prediction_failed", "boom", number=1, times_s=times((20, 0.5)))
    good = process("plain", 0, times((60, 0.02)))
    found = result(unmeasured(), good, broken, process("fast", 0, times((60, 0.01))))
    assert found.measured("plain") == [good]
    assert found.failures("plain") == [broken]
    assert found.steady_times_s("plain") == [pytest.approx(0.02, rel=0.02)]
    assert found.warmup("plain").shape is Shape.FLAT
    assert found.warmup("slow") is None


def test_a_process_that_never_settles_has_no_steady_time():
    turns = tuple((14, 0.005 if number % 2 else 0.035) for number in range(5))
    found = result(process("plain", 0, times(*turns)), process("plain", 1, times((70, 0.02))))
    assert [one.shape for one in found.warmup("plain").processes] == [Shape.NO_STEADY_STATE, Shape.FLAT]
    assert found.steady_times_s("plain") == [pytest.approx(0.02, rel=0.02)]


def test_merge_keeps_every_process_and_numbers_the_later_rounds_on():
    first = result(unmeasured(), process(number=0), process(number=1))
    second = result(process(number=0), process("fast", 0), projects=(info(), info("fast")), finished=False)
    both = merge(first, second)
    rounds = [(one.project, one.round) for one in both.processes if one.measured]
    assert rounds == [("plain", 0), ("plain", 1), ("plain", 2), ("fast", 2)]
    assert [one.name for one in both.projects] == ["plain", "fast"]
    assert not both.finished
    assert both.settings.processes == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": ENVIRONMENT.model_copy(update={"kernel": "6.2"})}, r"kernel is '6\.1' in one"),
        ({"settings": SETTINGS.model_copy(update={"iterations": 90})}, "iterations is 60 in one and 90"),
        ({"projects": (info(inputs={"prompt": "Bye"}),)}, "project plain, inputs, prompt is 'Hello'"),
        ({"projects": (info(weights={"m": {"a.safetensors": "1" * 64}}),)}, "project plain, weights, m is"),
    ],
)
def test_different_machines_settings_inputs_or_models_do_not_merge(changes, message):
    with pytest.raises(UsageError, match=message):
        merge(result(process()), result(process(), **changes))


def test_a_different_load_seed_or_count_is_no_reason_not_to():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 3.0})
    again = SETTINGS.model_copy(update={"seed": 1, "processes": 3})
    assert len(merge(result(process()), result(process(), environment=busy, settings=again)).processes) == 2

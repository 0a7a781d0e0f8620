"""What the starts of a result say together."""

from pilotlight.bench.cold.results import StageSeconds
from pilotlight.bench.cold.summary import stage_medians, typical
from tests.bench.cold.cold_results import start


def test_a_stage_that_some_starts_do_not_have_counts_as_nothing_there():
    weights = StageSeconds(stage="weights", charged_s=0.6, overlapped_s=0.2)
    own = StageSeconds(stage="tokenizer", charged_s=0.1, overlapped_s=0.0)
    rows = stage_medians([start(stages=(weights,)), start(stages=(weights, own)), start(stages=())])
    assert rows == [("weights", 0.6, 0.2), ("tokenizer", 0.0, 0.0)]


def test_the_typical_start_is_a_real_one_with_the_median_wall_time():
    starts = [start(number=number, wall_s=wall_s) for number, wall_s in enumerate((3.0, 1.0, 2.0, 4.0))]
    assert typical(starts) is starts[2]
    assert typical(starts[:3]) is starts[2]
    assert typical(starts[:1]) is starts[0]

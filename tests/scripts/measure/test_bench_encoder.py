"""scripts/measure/bench_encoder.py: three ways through one engine, which cuts batches as it is told."""

from __future__ import annotations

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.fake import FakeEncoder
from scripts.measure.bench_encoder import ALONE, AS_THEY_COME, ENGINE, ROWS, measure


def test_each_way_cuts_its_own_batches_in_every_round() -> None:
    texts = ["a" * (1 + i % 2 * 50) for i in range(2 * ROWS)]
    limits = BatchLimits(max_rows=ROWS, max_wait_s=0.0)
    engine = FakeEncoder(queue_size=100, limits=limits, cost=Cost(call_s=1e-6, token_s=1e-3))
    result = measure(engine, texts, rounds=2)
    engine.close()
    assert set(result.seconds) == {ALONE, AS_THEY_COME, ENGINE}
    assert all(len(took) == 2 for took in result.seconds.values())
    assert result.ratio(ALONE) == 1
    assert result.rate(ENGINE) > 0
    assert result.mean_tokens == 26
    warm_up = 2  # short ones and long ones: padding costs more than a call
    round_of_batches = [*[1] * len(texts), ROWS, ROWS, ROWS, ROWS]
    sizes = [len(batch) for batch in engine.network.batches]
    assert sizes[warm_up:] == round_of_batches * 2
    lengths = [sorted({len(row) for row in batch}) for batch in engine.network.batches[warm_up:]]
    assert lengths[len(texts) : len(texts) + 2] == [[1, 51], [1, 51]]
    assert sorted(lengths[len(texts) + 2 : len(texts) + 4]) == [[1], [51]]

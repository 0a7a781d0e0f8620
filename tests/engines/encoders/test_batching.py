"""The queue and the thread of every encoder, with a network that counts letters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, wait

import pytest

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import measure
from pilotlight.engines.encoders.fake import FakeEncoder, FakeNetwork
from pilotlight.engines.encoders.types import Encoded, Padding, Row, Rows, Task, TextRequest, TextRules
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError, WeightsError

# Joining always pays, and nobody waits for it: batches are made of what queues up while another one runs.
TOGETHER = {"cost": Cost(1.0, 0.0), "limits": BatchLimits(max_rows=8, max_wait_s=0.0)}
DEADLINE_S = 120


class Gate:
    """Holds the engine with its first batch until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, rows: Rows) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE_S)


def requests(*texts: str) -> list[TextRequest]:
    return [TextRequest(text, f"texts[{i}]") for i, text in enumerate(texts)]


def test_every_text_gets_its_own_numbers() -> None:
    engine = FakeEncoder()
    futures = engine.submit(requests("aab", "b", "xx"))
    assert [future.result(DEADLINE_S) for future in futures] == [
        Encoded((2.0, 1.0), 3, 0),
        Encoded((0.0, 1.0), 1, 0),
        Encoded((0.0, 0.0), 2, 0),
    ]
    engine.close()


def test_what_comes_while_a_batch_runs_is_the_next_batch() -> None:
    gate = Gate()
    engine = FakeEncoder(before=gate, **TOGETHER)
    first = engine.submit(requests("a"))
    assert gate.reached.wait(DEADLINE_S)
    later = [future for text in ("aa", "b", "bbb") for future in engine.submit(requests(text))]
    gate.opened.set()
    wait([*first, *later], DEADLINE_S)
    assert [len(batch) for batch in engine.network.batches] == [1, 3]
    assert [future.result().values for future in later] == [(2, 0), (0, 1), (0, 3)]
    engine.close()


def test_a_text_that_was_cancelled_is_never_computed() -> None:
    gate = Gate()
    engine = FakeEncoder(before=gate, queue_size=3, **TOGETHER)
    running = engine.submit(requests("a"))[0]
    assert gate.reached.wait(DEADLINE_S)
    gone, kept = engine.submit(requests("bb", "aaa"))
    assert gone.cancel()
    assert not running.cancel(), "its batch has begun"
    [another] = engine.submit(requests("b"))  # the place is free at once
    gate.opened.set()
    assert kept.result(DEADLINE_S).values == (3, 0)
    assert another.result(DEADLINE_S).values == (0, 1)
    assert not wait([gone], DEADLINE_S).not_done
    with pytest.raises(CancelledError):
        gone.result(0)
    assert sorted(len(row) for batch in engine.network.batches for row in batch) == [1, 1, 3]
    engine.close()


def test_a_bad_text_fails_alone() -> None:
    gate = Gate()

    def before(rows: Rows) -> None:
        gate(rows)
        if any(len(row) == 3 for row in rows):
            raise RuntimeError("no threes")

    engine = FakeEncoder(before=before, **TOGETHER)
    engine.submit(requests("a"))
    assert gate.reached.wait(DEADLINE_S)
    good, bad, fine = engine.submit(requests("aa", "bbb", "b"))
    gate.opened.set()
    assert good.result(DEADLINE_S).values == (2, 0)
    assert fine.result(DEADLINE_S).values == (0, 1)
    with pytest.raises(EngineError, match=r"texts\[1\]: the engine failed: no threes"):
        bad.result(DEADLINE_S)
    assert engine.healthy()
    engine.close()


class Broken(FakeNetwork):
    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        return [[float("nan")] if len(row) == 3 else [1.0] for row in rows]


def test_numbers_that_are_none_fail_the_text_that_has_them() -> None:
    engine = FakeEncoder(network=Broken(("a",)), **TOGETHER)
    good, bad = engine.submit(requests("a", "aaa"))
    assert good.result(DEADLINE_S).values == (1.0,)
    with pytest.raises(EngineError, match=r"texts\[1\]: the model returned NaN or infinity"):
        bad.result(DEADLINE_S)
    engine.close()


def test_all_of_a_request_are_queued_or_none() -> None:
    gate = Gate()
    engine = FakeEncoder(before=gate, queue_size=3)
    running = engine.submit(requests("a", "b"))
    with pytest.raises(EngineBusyError, match="2 of 3 places are taken and 2 more were asked for"):
        engine.submit(requests("a", "b"))
    [last] = engine.submit(requests("b"))
    gate.opened.set()
    wait([*running, last], DEADLINE_S)
    assert len(engine.submit(requests("a", "a", "a"))) == 3
    engine.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TextRequest("", "texts[2]"), r"texts\[2\]: is empty"),
        (lambda: TextRequest("x" * 100_001), "text: has 100001 characters and at most 100000"),
        (lambda: TextRequest("half \ud83d"), "text: holds half a surrogate pair at character 5"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused(make: Callable[[], TextRequest], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_what_does_not_fit_is_cut_or_refused_as_asked() -> None:
    engine = FakeEncoder(max_tokens=4)
    [future] = engine.submit([TextRequest("aaaabb")])
    assert future.result(DEADLINE_S) == Encoded((4.0, 0.0), 4, 2)
    with pytest.raises(InputError, match="text: has 6 tokens; the model holds 4: shorten it, or set truncate"):
        engine.submit([TextRequest("aaaabb", truncate=False)])
    engine.close()


def test_closing_fails_what_waits_and_lets_what_runs_end() -> None:
    gate = Gate()
    engine = FakeEncoder(before=gate, **TOGETHER)
    [running] = engine.submit(requests("a"))
    assert gate.reached.wait(DEADLINE_S)
    [waiting] = engine.submit(requests("b"))
    closing = threading.Thread(target=engine.close)
    closing.start()
    gate.opened.set()
    closing.join(DEADLINE_S)
    assert running.result(0).values == (1, 0)
    with pytest.raises(EngineStoppedError, match="closed before this request was answered"):
        waiting.result(DEADLINE_S)
    assert not engine.healthy()
    with pytest.raises(EngineStoppedError, match="takes no more requests"):
        engine.submit(requests("a"))
    engine.close()


def test_many_threads_with_cancels_lose_nothing() -> None:
    engine = FakeEncoder(queue_size=10_000)
    counted = [0, 0]
    lock = threading.Lock()

    def work(seed: int) -> None:
        for i in range(100):
            text = "a" * (1 + (seed * 31 + i) % 20)
            future, other = engine.submit(requests(text, "b"))
            cancelled = other.cancel() if i % 3 == 0 else False
            assert future.result(DEADLINE_S).values == (len(text), 0)
            with lock:
                counted[cancelled] += 1
            if not cancelled:
                assert other.result(DEADLINE_S).values == (0, 1)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sum(counted) == 800
    assert len(engine.submit(requests(*"a" * 10_000))) == 10_000, "every place is free again"
    engine.close()


def test_the_cost_is_measured_within_the_model_s_limit() -> None:
    network = FakeNetwork(("a",))
    cost = measure(network, lambda tokens: Row([7] * min(tokens, 16)), max_rows=2)
    assert cost.call_s >= 0
    assert cost.token_s >= 0
    assert cost != Cost(0.0, 0.0)
    assert max(len(row) for batch in network.batches for row in batch) == 16
    assert max(map(len, network.batches)) == 2


def test_a_network_that_fails_at_the_start_fails_the_start() -> None:
    def fail(rows: Rows) -> None:
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        FakeEncoder(before=fail, cost=Cost(0.0, 0.0))


class Leaking(FakeNetwork):
    """Counts the padding too, so that a text's numbers depend on its batch."""

    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        longest = max(map(len, rows))
        return [[one[0], float(longest)] for one in super().compute(rows)]


def test_texts_of_a_model_that_reads_its_padding_share_a_batch_only_with_their_own_length(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    gate.opened.set()
    network = Leaking(("a", "b"), gate)
    engine = FakeEncoder(network=network, padding=None, **TOGETHER)
    assert engine.info.padding is Padding.NONE
    assert "only texts with the same number of tokens share a batch" in caplog.text
    network.batches.clear()
    gate.reached.clear()
    gate.opened.clear()
    first = engine.submit(requests("a"))
    assert gate.reached.wait(DEADLINE_S)
    later = engine.submit(requests("aa", "b", "bb", "aaa", "ba"))
    gate.opened.set()
    wait([*first, *later], DEADLINE_S)
    assert sorted([len(row) for row in batch] for batch in network.batches) == [[1], [1], [2, 2, 2], [3]]
    assert [future.result().values for future in later] == [(2, 2), (0, 1), (0, 2), (3, 3), (1, 2)]
    engine.close()


def test_a_classifier_with_another_number_of_scores_than_labels_is_refused() -> None:
    with pytest.raises(WeightsError, match="fake gives 3 numbers for its 2 labels"):
        FakeEncoder(network=FakeNetwork(("a", "b", "c")), padding=None)


def test_a_prompt_precedes_the_text_as_its_rules_say() -> None:
    rules = TextRules({"query": "aa ", "none": ""}, "query", lower_case=True, strip=True)
    engine = FakeEncoder(task=Task.EMBED, rules=rules)
    asked = [("A b ", ""), ("a", "none"), ("B", "query")]
    futures = engine.submit([TextRequest(text, prompt_name=name) for text, name in asked])
    assert [future.result(DEADLINE_S).values for future in futures] == [(3, 1), (1, 0), (2, 1)]
    with pytest.raises(InputError, match="prompt_name: is 'other', which is not a prompt of this model; those are"):
        engine.submit([TextRequest("a", prompt_name="other")])
    engine.close()


def test_a_pair_is_for_models_that_compare() -> None:
    engine = FakeEncoder()
    [pair] = engine.submit([TextRequest("ab", pair="a")])
    assert pair.result(DEADLINE_S) == Encoded((2, 1), 4, 0)
    engine.close()
    engine = FakeEncoder(task=Task.EMBED)
    with pytest.raises(InputError, match="text: is a pair of texts; this model takes single ones"):
        engine.submit([TextRequest("ab", pair="a")])
    engine.close()

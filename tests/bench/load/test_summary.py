import pytest

from pilotlight.bench.load.results import Requests
from tests.bench.load.load_results import requests, summary


def test_response_counts_from_the_intended_start_and_service_from_the_send():
    found = summary(requests([i / 10 for i in range(100)], service_s=0.2, late_s=0.5))
    assert found.response.quantile(0.5).value_s == pytest.approx(0.7)
    assert found.service.quantile(0.5).value_s == pytest.approx(0.2)
    assert found.offered_per_s == 10
    assert (found.response.n, found.response.mean_s) == (100, pytest.approx(0.7))


def test_what_n_cannot_support_is_left_out():
    found = summary(requests([i / 10 for i in range(100)])).response
    assert [one.needed for one in found.quantiles] == [None, None, None, 299, 2995]
    assert found.quantile(0.99).value_s is None
    assert found.quantile(0.95).low_s <= found.quantile(0.95).value_s <= found.quantile(0.95).high_s


def test_rates_count_what_ended_while_requests_were_sent():
    # One each second, 1.5 s each: those of second 8 and 9 end after second 9.
    found = summary(requests([float(i) for i in range(10)], service_s=1.5), 9.0)
    assert found.achieved_per_s == 8 / 9
    assert found.outputs_per_s == 8 / 9


def test_timeouts_count_with_the_time_they_were_given_and_refusals_do_not():
    outcome = ("succeeded",) * 8 + ("timed_out", "rejected")
    found = summary(requests([float(i) for i in range(10)], service_s=[0.1] * 8 + [5.0, 0.001], outcome=outcome))
    assert found.counts == {"succeeded": 8, "timed_out": 1, "rejected": 1}
    assert (found.response.n, found.response.max_s) == (9, 5.0)
    assert sum(one.count for one in found.response.histogram) == 9


def test_goodput_is_of_all_arrivals():
    rows = requests(
        [float(i) for i in range(10)], service_s=[0.1] * 5 + [0.4] * 5, outcome=("succeeded",) * 9 + ("rejected",)
    )
    within, all_of_them = summary(rows, 10.0, "200ms", "1s").goodput
    assert (within.met, within.share, within.per_s) == (5, 0.5, 0.5)
    assert (all_of_them.met, all_of_them.share) == (9, 0.9)


def test_streams():
    rows = requests(
        [0.0, 1.0, 2.0],
        service_s=1.0,
        output_s=((0.25, 0.5, 1.0), (1.25, 1.5, 2.0), (2.25, 2.5, 3.0)),
        outputs=(3, 3, 3),
        tokens=(6, 6, 6),
        late_s=[0.0, 0.125, 0.0],
    )
    found = summary(rows, 2.6, "ttft:240ms", "ttft:260ms", streamed=True)
    assert (found.first_output.n, found.first_output.max_s) == (3, 0.25)
    assert found.service_first_output.histogram[0].low_s == pytest.approx(0.125, rel=0.01)
    assert (found.between_outputs.n, found.between_outputs.mean_s) == (6, pytest.approx(0.375))
    # 8 of the 9 chunks came in time, of two tokens each.
    assert found.outputs_per_s == pytest.approx(8 / 2.6)
    assert found.tokens_per_s == pytest.approx(16 / 2.6)
    assert [one.met for one in found.goodput] == [0, 3]


def test_tokens_that_only_some_count_are_no_rate():
    assert summary(requests([0.0, 1.0], tokens=(3, None))).tokens_per_s is None


def test_nothing_at_all():
    found = summary(requests([]), 1.0, "1s")
    assert (found.response.n, found.achieved_per_s, found.tokens_per_s, found.goodput[0].share) == (0, 0, None, 0)
    nothing = summary(
        requests([0.0], outcome=("not_sent",), started_s=(None,), sent_s=(None,), done_s=(None,), outputs=(0,))
    )
    assert (nothing.response.n, nothing.service.n, nothing.outputs_per_s) == (0, 0, 0)


def test_columns_of_different_lengths_are_refused():
    columns = requests([0.0, 1.0]).model_dump()
    with pytest.raises(ValueError, match="the columns differ in length"):
        Requests(**{**columns, "outputs": (1,)})

"""What the pictures show, read from the drawings themselves."""

import math

import pytest
from matplotlib.colors import to_hex

from pilotlight.bench.report.charts.chart import Pen
from pilotlight.bench.report.charts.cold import cold_charts
from pilotlight.bench.report.charts.load import load_charts
from pilotlight.bench.report.charts.theme import MARKS
from pilotlight.bench.report.charts.warm import warm_charts
from tests.bench.cold.cold_results import failure, info
from tests.bench.report import made
from tests.bench.warm import warm_results


def drawn(charts, name):
    """The picture of that name, its pen and its axes."""
    pen = Pen(MARKS)
    figure = next(chart for chart in charts if chart.name == name).draw(pen)
    return figure, pen, figure.axes


def texts(figure):
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in figure.texts] + inside


def bars(axes, role, *, solid=True):
    """The left and right ends of the bars of a color, those of the strip left out."""
    return [
        (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in axes.patches
        if to_hex(bar.get_edgecolor()) == MARKS[role] and (bar.get_alpha() == 1) == solid and bar.get_height() < 0.2
    ]


def test_stages_lie_as_they_did_in_time_with_overlaps_pale():
    figure, _, (axes,) = drawn(cold_charts(made.cold((("plain", 4.0),), runs=1)), "waterfall")
    # From 0.08 to 0.70 of 4 s, of which weights, which began later, take all from 0.45 on.
    assert bars(axes, "stage-imports") == [pytest.approx((0.32, 1.8))]
    assert bars(axes, "stage-imports", solid=False) == [pytest.approx((0.32, 2.8))]
    assert bars(axes, "stage-setup") == [pytest.approx((3.6, 3.76))]
    assert bars(axes, "stage-setup", solid=False) == [pytest.approx((1.6, 3.76))]
    strip = [bar for bar in axes.patches if bar.get_height() > 0.2]
    assert sum(bar.get_width() for bar in strip) == pytest.approx(4.0)
    assert {"4.000 s", "1.480 s", "37%", "+1.000 beside", "first prediction", "1 start"} <= set(texts(figure))


def test_projects_are_on_one_axis_and_a_start_out_of_reach_is_told():
    result = made.cold(runs=7)
    far = made.cold_start("ours", 7, 40.0)
    figure, pen, (axes,) = drawn(
        cold_charts(result.model_copy(update={"processes": (*result.processes, far)})), "waterfall"
    )
    assert axes.get_xlim()[1] < 6
    assert "1 at 40.0 s" in texts(figure)
    assert list(pen.tips.values()).count("a start of 4 s") == 1
    assert {"plain", "ours", "all 7 starts", "all 8 starts"} <= set(texts(figure))


def test_unknown_stages_and_unexplained_time_have_rows():
    start = made.cold_start(spans=(("tokenizer", 0.0, 0.5), ("first_prediction", 0.75, 1.0)))
    figure, _, (axes,) = drawn(cold_charts(made.cold(processes=(start,), projects=(info(),))), "waterfall")
    assert {"tokenizer", "other"} <= set(texts(figure))
    assert bars(axes, "stage-own") == [pytest.approx((0.0, 2.0))]
    assert bars(axes, "stage-other") == [pytest.approx((2.0, 3.0))]


def test_imports_have_a_bar_for_each_project():
    figure, _, (axes,) = drawn(cold_charts(made.cold(runs=1)), "imports")
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(
        [share * wall_s for share in (0.3, 0.2, 0.05, 0.01) for wall_s in (4.0, 0.9)]
    )
    assert {"torch", "1.2 s", "270 ms"} <= set(texts(figure))


def test_curves_have_their_changepoints_and_steady_states():
    figure, pen, axes = drawn(warm_charts(made.warm(count=2)), "warmup")
    assert len(axes) == 4
    assert texts(figure).count("process 1: warm-up") == 1
    assert texts(figure).count("process 1: flat") == 1
    assert axes[0].get_yscale() == "log", "the first takes eight times the steady one"
    assert axes[2].get_yscale() == "linear"
    tips = list(pen.tips.values())
    assert sum("changepoint before prediction 26" in tip for tip in tips) == 2
    assert sum("steady from prediction 26 on" in tip for tip in tips) == 2
    assert sum("steady from prediction 1 on" in tip for tip in tips) == 2


def test_outliers_are_hollow():
    times = list(warm_results.times((100, 0.05)))
    times[60] = 0.2
    result = warm_results.result(warm_results.process(times_s=tuple(times)))
    _, _, (axes,) = drawn(warm_charts(result), "warmup")
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none" and line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in hollow] == [[[61, 0.2]]]


def test_many_processes_are_drawn_in_part():
    figure, _, axes = drawn(warm_charts(made.warm(("plain",), count=14)), "warmup")
    assert len(axes) == 12
    assert "plain (12 of 14 processes)" in texts(figure)


def test_the_tail_stretches_the_slowest_and_keeps_service_beside_response():
    load = made.open_load(rates=(16.0,))
    _, _, (axes,) = drawn(load_charts({"plain": load}), "latency-open")
    response, service = axes.lines
    found = load.steps[0].summary.response
    assert response.get_xdata()[-1] == pytest.approx(found.max_s, rel=0.01)
    assert response.get_ydata()[-1] == pytest.approx(-math.log10(0.5 / found.n))
    p90 = found.quantile(0.9).value_s
    assert next(x for x, y in response.get_xydata() if y >= 1) == pytest.approx(p90, rel=0.05)
    assert max(service.get_xdata()) <= max(response.get_xdata())
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["p50", "p90", "p99"]


def test_throughput_goodput_and_quantiles_against_clients():
    load = made.closed_load()
    figure, _, (served, response) = drawn(load_charts({"plain": load}), "throughput-closed")
    line, *_, goodput = served.lines
    assert list(line.get_xdata()) == [1, 2, 4, 8]
    assert list(line.get_ydata()) == [step.summary.achieved_per_s for step in load.steps]
    assert list(goodput.get_ydata()) == [step.summary.goodput[0].per_s for step in load.steps]
    assert list(response.lines[0].get_ydata()) == [step.summary.response.quantile(0.5).value_s for step in load.steps]
    assert served.get_xscale() == "log"
    assert "dashed: within 250ms" in texts(figure)


def test_a_step_to_doubt_is_hollow():
    load = made.closed_load(complete=False, clients=(1, 2))
    _, _, (served, _) = drawn(load_charts({"plain": load}), "throughput-closed")
    dots = [line for line in served.lines if line.get_marker() == "o"]
    assert [to_hex(dot.get_markerfacecolor()) for dot in dots] == [MARKS["paper"]] * 2


def test_open_and_closed_loops_have_pictures_of_their_own():
    names = [chart.name for chart in load_charts({"a": made.closed_load(), "b": made.open_load()})]
    assert names == ["throughput-closed", "latency-closed", "throughput-open", "latency-open"]


@pytest.mark.parametrize("narrow", [False, True])
def test_many_steps_are_drawn_in_part_and_fit_a_phone(narrow):
    charts = load_charts({"plain": made.closed_load(clients=tuple(range(1, 12)))})
    figure = next(chart for chart in charts if chart.name == "latency-closed").draw(Pen(MARKS, narrow=narrow))
    titles = [text for text in texts(figure) if "client" in text]
    assert titles == ["1 client", "3 clients", "5 clients", "7 clients", "9 clients", "11 clients"]
    assert figure.get_size_inches()[0] == (3.7 if narrow else 9.2)


def test_nothing_to_draw():
    failed = made.cold(processes=(failure("plain", "crashed", "gone"),))
    assert cold_charts(failed) == []
    assert warm_charts(made.warm(processes=())) == []
    assert load_charts({"plain": made.closed_load(clients=())}) == []


def test_a_load_without_an_answer_has_no_latency():
    rows = made.load_results.requests([0.1, 0.2], outcome=("error", "error"))
    load = made.load_results.result(made.load_results.step(rows, None, clients=1), settings={"loop": "closed"})
    (chart,) = load_charts({"plain": load})
    assert chart.name == "throughput-closed"
    assert len(chart.draw(Pen(MARKS)).axes) == 2

"""What a person in a hurry reads."""

from pilotlight.bench.report.verdicts import Said, cold_verdicts, load_verdicts, warm_verdicts
from tests.bench.cold.cold_results import failure, info
from tests.bench.load import load_results
from tests.bench.report import made


def test_a_project_against_the_first():
    (faster,) = cold_verdicts(made.cold())
    assert faster == Said("ours starts 4.44 times as fast as plain", "95% interval 4.32 to 4.57")
    (slower,) = cold_verdicts(made.cold((("plain", 1.0), ("ours", 1.5))))
    assert slower == Said("ours takes 1.50 times as long to start as plain", "95% interval 1.46 to 1.54")
    (alike,) = cold_verdicts(made.cold((("plain", 1.0), ("ours", 1.0))))
    assert alike.text == "ours may start faster or slower than plain: cannot tell"
    assert alike.grounds == "between 0.97 and 1.03 times as long, 95% interval"
    (few,) = cold_verdicts(made.cold(runs=2))
    assert few == Said("ours and plain cannot be compared yet", "too few processes: 2 per side, 4 needed")


def test_projects_that_nothing_is_compared_with():
    (alone,) = cold_verdicts(made.cold((("plain", 4.0),)))
    assert alone.text == "plain takes 4.140 s from the spawn to the end of its first prediction"
    assert alone.grounds == "median of 8; 95% interval 4.037 to 4.243 s".replace("4.037 to", "4.037 s to")
    failed = made.cold(processes=(failure("plain", "crashed", "gone"), made.cold_start("ours")))
    assert [said.text for said in cold_verdicts(failed)] == [
        "No start of plain succeeded",
        "ours takes 4.000 s from the spawn to the end of its first prediction",
    ]


def test_warm_up():
    (against,) = warm_verdicts(made.warm())
    assert against.text.startswith("In the steady state, ours predicts 4.")
    (alone,) = warm_verdicts(made.warm(("plain",)))
    assert alone.text.startswith("plain: All 5 processes warm up in 25 predictions")
    assert not alone.text.endswith(".")
    (nothing,) = warm_verdicts(made.warm(processes=(), projects=(info(),)))
    assert nothing.text == "No process of plain ran all of its predictions"


def test_load():
    assert load_verdicts("plain", made.open_load()).text == (
        "plain keeps up with 16 requests/s and is overloaded at 30 requests/s"
    )
    assert load_verdicts("plain", made.open_load(rates=(4.0,))).text == "plain keeps up with 4 requests/s"
    closed = load_verdicts("ours", made.closed_load("ours", (1, 8), slots=8))
    assert closed.text.startswith("ours serves up to 15")
    assert closed.text.endswith(" requests per second, with 8 clients")
    doubtful = load_results.result(load_results.step(load_results.requests([1.0]), "poisson", complete=False))
    assert load_verdicts("plain", doubtful).text == "plain: no step of its load has a verdict; the reasons are below"

import re
from io import StringIO

from rich.console import Console

from pilotlight.bench.load.render import load_report
from pilotlight.bench.load.results import Generator, RequestFailure
from tests.bench.load.load_results import IDLE, requests, result, step

EVEN = [i / 10 for i in range(100)]


def shown(found):
    file = StringIO()
    Console(width=80, color_system=None, file=file).print(load_report(found))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_an_open_loop():
    rows = requests(EVEN, [0.05] * 97 + [0.2] * 3, 0.001)
    text = shown(
        result(step(rows, "constant", "100ms", "1s"), settings={"arrivals": "constant", "objectives": ("100ms", "1s")})
    )
    assert "load on plain: plain predictions, open loop with constant arrivals" in text
    assert re.search(r"^10 requests/s +51 +51 +- +50 +50$", text, re.MULTILINE)
    assert re.search(r"^10 requests/s +10 +9\.\d +9\.\d +- +- +- +-$", text, re.MULTILINE)
    assert re.search(r"^10 requests/s +97\.0%, 9\.7 per s +100\.0%, 9\.\d per s$", text, re.MULTILINE)
    assert "10 requests/s: the server keeps up\n" in text
    assert re.search(r"responses from 5[01](\.\d)? ms █ +▁ to 20\d ms", text)
    assert "sent 100.0% of the intended rate, gaps vary by 0.00 (intended 0.00), late by" in text.replace("\n ", "")
    assert "too few requests (100): p99 needs 299" in text


def test_a_stream_from_clients():
    rows = requests(
        EVEN,
        output_s=tuple((time + 0.02, time + 0.06) for time in EVEN),
        outputs=(2,) * 100,
        tokens=(8,) * 100,
        refusals=(1,) * 30 + (0,) * 70,
    )
    text = shown(result(step(rows, None), settings={"mode": "stream", "loop": "closed", "arrivals": None}))
    assert (
        "streamed predictions, closed loop (each client waits for its answer) with a client-side queue"
        in text.replace("\n", " ")
    )
    assert re.search(r"^4 clients +100 +100 +- +100 +100 +20 +20 +40$", text, re.MULTILINE)
    assert re.search(r"^4 clients +- +10 +80 +- +- +- +30$", text, re.MULTILINE)
    assert "4 clients: 10 predictions/s\n" in text


def test_no_verdict_and_why():
    busy = Generator(wall_s=10.0, cpu_s=9.9, lags_s=(), steal_share=0.2)
    text = shown(result(step(requests(EVEN), generator=busy)))
    assert "10 requests/s: no verdict: " in text
    assert "the generator used 99% of a processor core: it was the bottleneck" in text.replace("\n", " ")
    assert "the hypervisor gave up to 20% of the processors to others" in text.replace("\n", " ")


def test_overload_refusals_and_a_lost_server():
    outcome = ("rejected",) * 60 + ("timed_out", "failed") + ("succeeded",) * 38
    failures = (RequestFailure(outcome="timed_out", message="no answer within 300 s", count=1),)
    one = step(requests(EVEN, outcome=outcome), "constant", generator=IDLE, failures=failures)
    text = shown(result(one, settings={"queue": False})).replace("\n", " ")
    assert "10 requests/s: overloaded: requests arrive faster than the server can serve them" in text
    assert "1 timed out: no answer within 300 s" in text
    assert "--queue adds the queue that every platform has" in text
    text = shown(result(step(requests(EVEN), "constant", complete=False, message="killed by signal 9"), finished=False))
    assert "10 requests/s: no verdict: it was interrupted" in text
    assert "the server was lost: killed by signal 9" in text
    assert "interrupted after 0 steps" in text


def test_before_the_first_step_there_is_nothing_to_show():
    text = shown(result(finished=False))
    assert "interrupted after 0 steps" in text

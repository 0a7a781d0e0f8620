"""What --fail-if takes, and when it holds."""

import pytest

from pilotlight.bench.compare.conditions import parse_condition
from pilotlight.bench.stats.intervals import Comparison, Estimate, TooSmall, Verdict
from pilotlight.errors import UsageError


def ratio(low, high):
    verdict = Verdict.FASTER if high < 1 else Verdict.SLOWER if low > 1 else Verdict.CANNOT_TELL
    return Comparison(Estimate((low + high) / 2, low, high, 0.95, 10), verdict)


FEW = Comparison(TooSmall(3, 4), Verdict.CANNOT_TELL)


@pytest.mark.parametrize(
    ("text", "comparison", "holds"),
    [
        ("slower", ratio(1.01, 1.2), True),
        ("slower", ratio(0.99, 1.2), False),
        ("slower:5%", ratio(1.06, 1.2), True),
        ("slower:5%", ratio(1.01, 1.2), False),
        ("slower:2.5%", ratio(1.03, 1.2), True),
        ("slower", FEW, False),
        ("faster", ratio(0.8, 0.99), True),
        ("faster", ratio(0.8, 1.01), False),
        ("faster:5%", ratio(0.8, 0.94), True),
        ("faster:5%", ratio(0.8, 0.99), False),
        ("cannot-tell", ratio(0.9, 1.1), True),
        ("unknown", FEW, True),
        ("unknown", ratio(1.01, 1.2), False),
    ],
)
def test_holds_only_where_the_whole_interval_shows_it(text, comparison, holds):
    assert parse_condition(text).holds(comparison) is holds


@pytest.mark.parametrize(
    "text", ["", "slow", "slower:", "slower:5", "slower:-5%", "slower:5%%", "faster:100%", "unknown:5%", "Slower"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="give slower, slower:5%, faster, faster:5% or cannot-tell"):
        parse_condition(text)

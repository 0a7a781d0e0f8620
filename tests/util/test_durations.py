"""Lengths of time."""

import pytest

from pilotlight.util.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("800ms", 0.8),
        ("5m", 300),
        ("5 min", 300),
        ("1m500ms", 60.5),
        ("1.5h", 5400),
        ("1h30m45s", 5445),
        ("1h 30m", 5400),
        ("7d", 604800),
        (" 1D ", 86400),
        ("0s", 0),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1.h", "5m1h", "1s2s", "-1", "1w", "1e3", "٣", "9" * 10, "inf", "nan"])
def test_what_is_no_duration_is_none(text):
    assert parse_duration(text) is None

"""Colors that can be told apart, and seen."""

import pytest

from pilotlight.bench.cold.stages import STAGES
from pilotlight.bench.report.charts.theme import DARK, LIGHT, MARKS, series_role, stage_role, styles, unmark

_TEXT = ("ink", "muted", "link", "good", "bad", "warn")


def luminance(color):
    """As WCAG 2 defines it."""
    shares = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_and_bars_stand_out_from_what_is_behind_them(palette):
    for role in _TEXT:
        assert contrast(palette[role], palette["paper"]) >= 4.5, role
        assert contrast(palette[role], palette["panel"]) >= 4.5, role
    for role in palette:
        if role.startswith(("stage-", "series-")):
            assert contrast(palette[role], palette["paper"]) >= 3, role


def test_every_mark_becomes_its_variable_and_every_variable_is_declared():
    assert len(set(MARKS.values())) == len(MARKS) == len(LIGHT)
    for role, mark in MARKS.items():
        assert unmark(f"fill: {mark}; x") == f"fill: var(--{role}); x"
        assert f"--{role}: light-dark({LIGHT[role]}, {DARK[role]});" in styles()
    assert not set(MARKS.values()) & {*LIGHT.values(), *DARK.values()}


def test_roles_of_stages_and_projects():
    assert {stage_role(stage) for stage in STAGES} <= LIGHT.keys()
    assert stage_role("tokenizer") == "stage-own"
    assert series_role(0, 1) == "series-1"
    roles = [series_role(index, 12) for index in range(12)]
    assert set(roles) <= LIGHT.keys()
    assert roles.count("series-0") == 1, "only the baseline is gray"
    assert len(set(roles[:6])) == 6

import pytest

from pilotlight.bench.load.objectives import Objective, parse_objective
from pilotlight.errors import UsageError


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("500ms", Objective("500ms", 0.5)),
        ("2s", Objective("2s", 2.0)),
        (" 0.25s", Objective("0.25s", 0.25)),
        ("ttft:200ms", Objective("ttft:200ms", 0.2, first_output=True)),
    ],
)
def test_objectives(text, objective):
    assert parse_objective(text) == objective


@pytest.mark.parametrize("text", ["", "500", "ms", "0s", "-1s", "p95:2s", "1e9s"])
def test_what_is_none(text):
    with pytest.raises(UsageError, match="give a time with its unit such as 500ms or 2s, or ttft:200ms"):
        parse_objective(text)

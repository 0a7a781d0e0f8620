"""The page of all settings."""

from __future__ import annotations

from pilotlight.config import VARIABLES, settings_reference
from tests.paths import ROOT

PAGE = ROOT / "docs/reference/settings.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_reference(), (
        "docs/reference/settings.md is older than pilotlight/config/variables.py: run scripts/dev/write_reference.py"
    )


def test_every_variable_has_one_row() -> None:
    rows = [line for line in settings_reference().splitlines() if line.startswith("| `")]
    for variable in VARIABLES:
        assert len([row for row in rows if row.startswith(f"| `{variable.name}` |")]) == 1, variable.name

"""The colors of a report by meaning, light and dark: one table for the charts and the page.

An image file is drawn with one column of the table. A chart for the page is drawn with ``MARKS``, placeholder colors
that each stand for a role; the CSS variables of ``styles`` then replace them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotlight.bench.cold.stages import OTHER, STAGES

__all__ = ["DARK", "LIGHT", "MARKS", "Palette", "series_role", "stage_role", "styles", "unmark"]

Palette = Mapping[str, str]

# Role: (light, dark). Text has a contrast of at least 4.5 on paper and panel, bars and lines at least 3 (a test
# computes it); the grid and the borders have a low contrast on purpose.
_COLORS = {
    "paper": ("#ffffff", "#0d1117"),
    "panel": ("#f5f7f9", "#161b22"),
    "border": ("#d8dee4", "#30363d"),
    "grid": ("#e4e8ec", "#262c34"),
    "ink": ("#1f2328", "#e6edf3"),
    "muted": ("#59636e", "#9aa4af"),
    "link": ("#0a5bd0", "#6cb0ff"),
    "good": ("#1a7f47", "#4cc38a"),
    "bad": ("#c4321f", "#ff8473"),
    "warn": ("#8f5b00", "#e3b341"),
    # Stages. The stages of Cog, Python and the harness are gray, because a project cannot change them.
    "stage-spawn": ("#86909b", "#7d8894"),
    "stage-interpreter": ("#6d7782", "#95a0ac"),
    "stage-imports": ("#c07c00", "#f0b541"),
    "stage-weights": ("#2a6fdb", "#6aa9ff"),
    "stage-device": ("#178ca6", "#4fc6dd"),
    "stage-compile": ("#8a4fd3", "#bd95f7"),
    "stage-warmup": ("#d2542b", "#ff946b"),
    "stage-setup": ("#5277a8", "#87a7d4"),
    "stage-ready": ("#86909b", "#7d8894"),
    "stage-first_prediction": ("#1f8f55", "#4cc38a"),
    "stage-own": ("#a8457f", "#ee8fc4"),
    "stage-other": ("#86909b", "#7d8894"),
    # Projects, in the order of the result.
    "series-0": ("#6b7580", "#98a3ae"),
    "series-1": ("#2a6fdb", "#6aa9ff"),
    "series-2": ("#d2542b", "#ff946b"),
    "series-3": ("#178072", "#4fd1bd"),
    "series-4": ("#8a4fd3", "#bd95f7"),
    "series-5": ("#a87400", "#e6bd4c"),
}
_SERIES = sum(role.startswith("series-") for role in _COLORS)

LIGHT: Palette = {role: light for role, (light, _) in _COLORS.items()}
DARK: Palette = {role: dark for role, (_, dark) in _COLORS.items()}
MARKS: Palette = {role: f"#fe00{index:02x}" for index, role in enumerate(_COLORS)}

_MARK = re.compile(r"#fe00([0-9a-f]{2})")


def stage_role(stage: str) -> str:
    """Return the role of a stage; all stages that projects name themselves share one."""
    return f"stage-{stage}" if stage in STAGES or stage == OTHER else "stage-own"


def series_role(index: int, count: int) -> str:
    """Return the role of one of ``count`` projects. The first of several is the baseline, and gray."""
    if count == 1:
        return "series-1"
    return f"series-{index}" if index < _SERIES else f"series-{1 + (index - 1) % (_SERIES - 1)}"


def styles() -> str:
    """Return the declarations of the CSS variables, each for light and dark."""
    return "\n".join(f"  --{role}: light-dark({light}, {dark});" for role, (light, dark) in _COLORS.items())


def unmark(text: str) -> str:
    """Replace ``MARKS`` by their variables."""
    roles = list(_COLORS)
    return _MARK.sub(lambda found: f"var(--{roles[int(found[1], 16)]})", text)

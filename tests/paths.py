"""Where things are in the repository, for every test that needs a path: tests may move, these do not."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PROJECTS", "ROOT", "SCRIPTS"]

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ROOT / "tests" / "cog" / "projects"
SCRIPTS = ROOT / "scripts"

"""Choices that come from a data file: a change to it has to change the schema."""

import json
from pathlib import Path

COLORS = json.loads(Path("choices.json").read_text())

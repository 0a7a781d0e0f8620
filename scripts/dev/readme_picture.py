#!/usr/bin/env python
"""Draw the picture at the top of the README: the first command and what it really printed, as SVG.

python scripts/dev/readme_picture.py --out docs/predict.svg
"""

from __future__ import annotations

import argparse
import html
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["scripts/predict", "-i", "prompt=Why is the sky blue?"]
SHOWN = '$ scripts/predict -i prompt="Why is the sky blue?"'
COLUMNS = 100
LINE_PX, CHARACTER_PX, MARGIN_PX, BAR_PX = 20, 8.4, 20, 34
DOTS = ("#ff5f57", "#febc2e", "#28c840")
LABEL = "A terminal: the first command and the answer it printed"
STYLE = (
    "text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre }"
)


def draw(lines: list[str]) -> str:
    """A terminal window with these lines; the first is the command."""
    width = max(640, int(2 * MARGIN_PX + CHARACTER_PX * max(map(len, lines))))
    height = BAR_PX + LINE_PX * len(lines) + MARGIN_PX
    rows = [
        f'<text x="{MARGIN_PX}" y="{BAR_PX + LINE_PX * (i + 1) - 4}" fill="{"#7ee787" if i == 0 else "#e6edf3"}"'
        f' xml:space="preserve">{html.escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    dots = [f'<circle cx="{20 + 18 * i}" cy="17" r="6" fill="{color}"/>' for i, color in enumerate(DOTS)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">',
            f"<title>{LABEL}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
            *dots,
            *rows,
            "</svg>\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "predict.svg")
    args = parser.parse_args()
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the command failed:\n{done.stderr}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    printed = [part for line in done.stdout.rstrip().splitlines() for part in textwrap.wrap(line, COLUMNS) or [""]]
    args.out.write_text(draw([SHOWN, *printed]))
    print(args.out)


if __name__ == "__main__":
    main()

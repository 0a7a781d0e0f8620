#!/usr/bin/env python
"""Render the demo classifier's card from its training.json; prints it.

    python scripts/train/classifier_card.py weights/pylight-areas --name pylight-areas

``scripts/train/train_classifier.py`` writes it into the folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FRONT = """---
license: other
license_name: psf-2.0
license_link: https://docs.python.org/3/license.html
library_name: transformers
pipeline_tag: text-classification
tags: [python, code, distilbert]
---
"""


def card(report: dict[str, Any], name: str) -> str:
    """The model card, in Markdown."""
    held_out = report["held_out"]
    rows = [
        f"| {area} | {trained:,} | {tested:,} | {'' if share is None else f'{share:.0%}'} |"
        for area, trained, tested, share in zip(
            report["areas"],
            report["train"]["by_area"],
            held_out["functions_by_area"],
            held_out["by_area"],
            strict=True,
        )
    ]
    size = report["parameters"]
    learned = report["train"]["functions"]
    return f"""{FRONT}# {name}
Reads a Python function and says which of {len(rows)} areas of the standard library it is from. A DistilBERT of
{size:,} parameters, trained on one processor, to show and to test pilotlight's
classifier and embedder with something that is small and real.

## How good it is
On {held_out["functions"]:,} functions from files that training never saw:

| | right |
|---|---:|
| this model | **{held_out["accuracy"]:.1%}** |
| naive Bayes over the same tokens | {held_out["naive_bayes"]:.1%} |
| always the most common area | {held_out["most_common"]:.1%} |

{_verdict(held_out["accuracy"] - held_out["naive_bayes"])}

As an embedder (mean of the last layer, normalized): the nearest other held-out function is of the same area for
{held_out["nearest_is_same_area"]:.1%} of them, many of them from the same file. It was not trained for that.

| area | functions to train on | held out | of these right |
|---|---:|---:|---:|
{chr(10).join(rows)}

## Data and license
{learned:,} functions and methods of three lines or more, each once, from Python's standard library, tests included. The
area is that of the module. They are under the Python Software Foundation License, version 2
(<https://docs.python.org/3/license.html>), and so are these weights.

## Make it again
```text
{report["command"]}
```
Training is seeded and saw {report["tokens_seen"] / 1e6:.1f} million tokens, with torch {report["torch"]}. Other
versions or other processors give other weights of the same quality.

## Limits
- It has seen library code and its tests, by authors who share habits: on other code it is worse, and nobody measured
  how much. It answers with one of its areas whatever it is given.
- It reads the first {report["max_tokens"]} tokens; the rest is cut off, and the predictor says so.
"""


def _verdict(ahead: float) -> str:
    """What the first two figures mean, in a sentence."""
    if ahead > 0.02:
        return f"It is {100 * ahead:.0f} points ahead of counting tokens."
    if ahead < -0.02:
        return f"It is {-100 * ahead:.0f} points behind counting tokens: use it to test a server, and for nothing else."
    return "That is no better than counting tokens: use it to test a server, and for nothing else."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the model folder, with its training.json")
    parser.add_argument("--name", help="what the card calls it; default: the folder's name")
    args = parser.parse_args()
    report = json.loads((args.folder / "training.json").read_text())
    print(card(report, args.name or args.folder.name), end="")


if __name__ == "__main__":
    main()

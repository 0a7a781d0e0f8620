"""scripts/train/classifier_data.py, scripts/train/train_classifier.py, and scripts/train/classifier_card.py."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml

from scripts.train.classifier_card import card
from scripts.train.classifier_data import AREAS, area_of, functions, snippets
from scripts.train.train_classifier import batches, make_tokenizer, naive_bayes
from tests.paths import ROOT

MODEL = ROOT / "weights" / "pylight-areas"

REPORT: dict[str, Any] = {
    "command": "python scripts/train/train_classifier.py --epochs 2",
    "parameters": 1_234_567,
    "tokens_seen": 4_200_000,
    "max_tokens": 128,
    "train": {"functions": 20_000, "by_area": [12_000, 8_000]},
    "held_out": {
        "functions": 4321,
        "accuracy": 0.815,
        "naive_bayes": 0.702,
        "most_common": 0.2,
        "nearest_is_same_area": 0.66,
        "by_area": [0.9, None],
        "functions_by_area": [4321, 0],
    },
    "areas": ["letters", "numbers"],
    "torch": "2.13.0",
}


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("asyncio/events.py", "asyncio"),
        ("test/test_asyncio/utils.py", "asyncio"),
        ("test/test_json/test_fail.py", "markup and data"),
        ("test/datetimetester.py", "dates and times"),
        ("_pydecimal.py", "numbers"),
        ("subprocess.py", "threads and processes"),
        ("this.py", None),
        ("test/support/os_helper.py", None),
    ],
)
def test_the_area_is_that_of_the_module(name: str, area: str | None) -> None:
    assert area_of(name) == area


def test_functions_are_dedented_and_short_ones_left_out() -> None:
    source = "class C:\n    def f(self):\n        x = 1\n        return x\n\ndef g(): return 1\n"
    assert functions(source) == ["def f(self):\n    x = 1\n    return x\n"]
    assert functions("not python at all (") == []


def test_no_function_is_in_both_halves_and_every_area_is_in_each() -> None:
    learn, held_out = snippets()
    assert len({one.text for one in [*learn, *held_out]}) == len(learn) + len(held_out)
    assert {one.area for one in learn} == {one.area for one in held_out} == set(range(len(AREAS)))
    assert 0.1 < len(held_out) / len(learn) < 0.3


def test_a_row_has_its_special_tokens() -> None:
    tokenizer = make_tokenizer(["def f(x):\n    return x\n"], 300)
    assert tokenizer.encode("return x").tokens[0] == "[CLS]"
    assert tokenizer.encode("return x").tokens[-1] == "[SEP]"
    assert tokenizer.token_to_id("[PAD]") == 0


def test_an_epoch_sees_every_row_once_in_batches_of_like_length() -> None:
    rows = [[0] * random.Random(i).randrange(1, 128) for i in range(1000)]
    plan = batches(rows, random.Random(0))
    assert sorted(i for batch in plan for i in batch) == list(range(1000))
    spread = [max(len(rows[i]) for i in batch) - min(len(rows[i]) for i in batch) for batch in plan]
    assert sum(spread) / len(spread) < 20


def test_naive_bayes_counts_tokens() -> None:
    assert naive_bayes([[1, 1, 2], [3, 3, 2]], [0, 1], [[1, 2], [3]]) == [0, 1]


def test_the_card_has_the_figures_and_valid_front_matter() -> None:
    text = card(REPORT, "a-model")
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["license_name"] == "psf-2.0"
    assert body.startswith("# a-model\n")
    for part in (
        "**81.5%**",
        "70.2%",
        "11 points ahead",
        "66.0%",
        "1,234,567",
        REPORT["command"],
        "| letters | 12,000 | 4,321 | 90% |",
    ):
        assert part in body
    assert "| numbers | 8,000 | 0 |  |" in body


def test_the_card_in_the_repository_is_that_of_its_report() -> None:
    report = json.loads((MODEL / "training.json").read_text())
    assert (MODEL / "README.md").read_text() == card(report, MODEL.name)
    assert report["held_out"]["accuracy"] > 3 * report["held_out"]["most_common"]
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 3_000_000

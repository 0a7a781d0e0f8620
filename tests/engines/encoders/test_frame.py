"""The special tokens around texts and pairs, found by encoding; and what is cut when they are too long."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pilotlight.engines.encoders.frame import Frame
from pilotlight.engines.encoders.types import Row
from pilotlight.engines.text.fake import CharacterCodec
from pilotlight.errors import WeightsError

CLS, SEP = 1, 2


class Codec:
    """The tokenizers package with one token a word, and BERT's template."""

    def __init__(self, pair: str = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1") -> None:
        vocabulary = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", *"abcdefghij"])}
        self.tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        self.tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0", pair=pair, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
        )

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special_tokens).ids
        return ids

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        found = self.tokenizer.encode(text, pair)
        return found.ids, found.type_ids


class Framed(CharacterCodec):
    """Puts < and > around a text; or, where it is broken, changes the text too."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self._broken = broken

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        ids = [60, *([7] if self._broken else self.encode(text)), 62]
        return ids, [0] * len(ids)


def test_special_tokens_stay_when_a_text_is_cut() -> None:
    frame = Frame.of(Framed())
    assert frame.around([1, 2, 3], 5) == (Row([60, 1, 2, 3, 62]), 0)
    assert frame.around([1, 2, 3], 4) == (Row([60, 1, 2, 62]), 1)
    assert frame.around([1, 2, 3], 4, cut_left=True) == (Row([60, 2, 3, 62]), 1)
    assert Frame.of(CharacterCodec()).around([1, 2], 5) == (Row([1, 2]), 0)
    with pytest.raises(WeightsError, match="the tokenizer reads 'a' as"):
        Frame.of(Framed(broken=True))


def test_a_prompt_that_does_not_count_is_marked_with_the_tokens_before_it() -> None:
    assert Frame.of(Codec()).around([5, 6, 7], 9, prompt_tokens=2)[0].prompt_tokens == 3
    assert Frame.of(Codec()).around([5, 6, 7], 9)[0].prompt_tokens == 0


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", range(8))
@pytest.mark.parametrize("limit", [5, 8, 9, 20])
def test_a_pair_is_what_the_tokenizer_makes_of_it(first: int, second: int, limit: int) -> None:
    codec = Codec()
    texts = " ".join("abcdefghij"[: first + 1]), " ".join("jihgfedcba"[: second + 1])
    codec.tokenizer.enable_truncation(limit)
    expected = codec.framed(*texts)
    codec.tokenizer.no_truncation()
    ids, others = (codec.encode(text, special_tokens=False) for text in texts)
    row, cut = Frame.of(codec).around(ids, limit, other=others)
    assert (list(row.ids), list(row.types)) == expected
    assert cut == max(0, len(ids) + len(others) + 3 - limit)


def test_texts_that_a_tokenizer_only_strings_together_are_no_pair() -> None:
    assert Frame.of(Codec()).pair is not None
    assert Frame.of(Codec(pair="[CLS]:0 $A:0 $B:0 [SEP]:0")).pair is None

"""The merges of a SentencePiece vocabulary, which a GGUF file states by the scores of its tokens."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.vocabulary import Kind, Vocabulary

SPACE = "\u2581"  # SentencePiece's sign for a space
GEMMA = ("gemma", "gemma2", "gemma3")


def sentencepiece_merges(vocabulary: Vocabulary, vocab: Mapping[str, int]) -> list[list[str]]:
    """Return every pair of tokens that together are a token, the best token first.

    The best token is that of the highest score; Gemma's stand in the order of their merges. Of the pairs of one token
    the one with the longer first half comes first, as in the ``tokenizer.json`` that Hugging Face's converters make.
    """
    stated = vocabulary.get("merges")
    if stated:
        return [merge.split(" ") for merge in stated]
    scores = vocabulary.get("scores")
    if not isinstance(scores, list) or len(scores) != len(vocabulary.tokens):
        raise WeightsError(f"{vocabulary.metadata.where} has neither merges nor a score for each token")
    by_position = vocabulary.metadata.architecture in GEMMA
    ranked: list[tuple[float, int, str, str]] = []
    for token, number in vocab.items():
        if vocabulary.kinds[number] not in (Kind.NORMAL, Kind.USER_DEFINED):
            continue
        rank = float(number) if by_position else -scores[number]
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocab and right in vocab:
                ranked.append((rank, -len(left), left, right))
    ranked.sort(key=lambda pair: pair[:2])
    return [[left, right] for *_, left, right in ranked]

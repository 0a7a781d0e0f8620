"""The special tokens around a model's texts, and what is cut off when they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.engines.encoders.types import EncoderCodec, Row
from pilotlight.errors import WeightsError

__all__ = ["Frame"]

PROBE, OTHER_PROBE = "a", "b"


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens that stand together, with the token type of each."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Template:
    """The pieces around the texts of a row, and the token type of each text."""

    pieces: tuple[_Piece, ...]
    text_types: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return sum(len(piece.ids) for piece in self.pieces)

    def fill(self, texts: Sequence[Sequence[int]], prompt_tokens: int) -> Row:
        first, *others = self.pieces
        ids, types = list(first.ids), list(first.types)
        for text, kind, piece in zip(texts, self.text_types, others, strict=True):
            ids += [*text, *piece.ids]
            types += [kind] * len(text)
            types += piece.types
        return Row(ids, types if any(types) else (), len(first.ids) + prompt_tokens if prompt_tokens else 0)


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens of a model, of single texts and of pairs.

    Raises:
        WeightsError: the tokenizer changes the text's own tokens when it adds the special ones.
    """

    single: _Template
    pair: _Template | None

    @classmethod
    def of(cls, codec: EncoderCodec) -> Frame:
        """Find them by encoding texts with and without."""
        bare, other = codec.encode(PROBE, special_tokens=False), codec.encode(OTHER_PROBE, special_tokens=False)
        framed, types = codec.framed(PROBE)
        single = _template(framed, types, [bare])
        if single is None:
            raise WeightsError(
                f"the tokenizer reads {PROBE!r} as {bare} and, with special tokens, as {framed}: it is no encoder's"
            )
        pair = _template(*codec.framed(PROBE, OTHER_PROBE), [bare, other])
        joined = pair is not None and (pair.pieces[1].ids or len(set(pair.text_types)) > 1)
        return cls(single, pair if joined else None)

    def around(
        self,
        ids: Sequence[int],
        max_tokens: int,
        *,
        other: Sequence[int] | None = None,
        prompt_tokens: int = 0,
        cut_left: bool = False,
    ) -> tuple[Row, int]:
        """Return the row of at most ``max_tokens``, and how many tokens of the texts were cut off.

        Args:
            ids: of the text.
            max_tokens: special ones included.
            other: the second text of a pair; only where ``pair`` is there.
            prompt_tokens: how many of ``ids`` are a prompt's that no pooling counts.
            cut_left: cut off a text's beginning rather than its end.
        """
        template = self.single if other is None else self.pair
        assert template is not None, "this tokenizer has no pairs: this is a bug, the caller asks first"
        room = max(0, max_tokens - template.tokens)
        texts = [ids] if other is None else [ids, other]
        kept = [room] if other is None else _shares(len(ids), len(other), room)
        shown = [_cut(text, size, left=cut_left) for text, size in zip(texts, kept, strict=True)]
        cut = sum(map(len, texts)) - sum(map(len, shown))
        return template.fill(shown, min(prompt_tokens, len(shown[0]))), cut


def _template(framed: Sequence[int], types: Sequence[int], texts: Sequence[Sequence[int]]) -> _Template | None:
    """Return what stands around ``texts`` in a framed row; ``None`` where they are not in it, in this order."""
    pieces, text_types, at = [], [], 0
    for text in texts:
        last = len(framed) - len(text)
        start = next((i for i in range(at, last + 1) if text and list(framed[i : i + len(text)]) == list(text)), None)
        if start is None:
            return None
        pieces.append(_Piece(tuple(framed[at:start]), tuple(types[at:start])))
        text_types.append(types[start])
        at = start + len(text)
    pieces.append(_Piece(tuple(framed[at:]), tuple(types[at:])))
    return _Template(tuple(pieces), tuple(text_types))


def _shares(first: int, second: int, room: int) -> list[int]:
    """Return how many tokens of each text of a pair are kept: the longer one is cut first, as tokenizers do it."""
    if first + second <= room:
        return [first, second]
    shorter = min(first, second)
    if shorter > room // 2:
        less, more = room // 2, room - room // 2
    else:
        less, more = shorter, room - shorter
    return [more, less] if first > second else [less, more]


def _cut(ids: Sequence[int], size: int, *, left: bool) -> Sequence[int]:
    return ids[max(0, len(ids) - size) :] if left else ids[:size]

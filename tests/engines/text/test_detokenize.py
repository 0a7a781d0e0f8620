"""Whatever the tokens' boundaries, the chunks of a stream join up to the whole text, cut before the first stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.engines.text.detokenize import Detokenizer, StopFilter, TextStream
from tests.models import tiny_tokenizer


def decode_bytes(ids: list[int] | tuple[int, ...]) -> str:
    """A byte-level tokenizer: every token is one byte."""
    return bytes(ids).decode("utf-8", errors="replace")


def decode_byte_fallback(ids: list[int] | tuple[int, ...]) -> str:
    """The other family: a run of byte tokens that is not valid as a whole shows one U+FFFD per byte."""
    try:
        return bytes(ids).decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd" * len(ids)


def stop_reference(text: str, stops: list[str]) -> str:
    """Character by character: the first stop that is complete wins, the one that began earlier where two are."""
    for end in range(1, len(text) + 1):
        starts = [end - len(s) for s in stops if text[:end].endswith(s)]
        if starts:
            return text[: min(starts)]
    return text


@pytest.mark.parametrize("decode", [decode_bytes, decode_byte_fallback])
@given(text=st.text().filter(lambda t: "\ufffd" not in t))
def test_characters_join_up_and_are_never_halved(decode, text: str) -> None:  # type: ignore[no-untyped-def]
    detokenizer = Detokenizer(decode)
    chunks = [detokenizer.push(byte) for byte in text.encode()]
    assert "".join(chunks) == text
    assert not any("\ufffd" in chunk for chunk in chunks)


@given(data=st.binary(max_size=16))
def test_bytes_that_are_no_text_come_out_as_such(data: bytes) -> None:
    detokenizer = Detokenizer(decode_bytes)
    joined = "".join(detokenizer.push(byte) for byte in data)
    assert joined == decode_bytes(tuple(data)).rstrip("\ufffd")


def test_endless_garbage_is_let_through_in_the_end() -> None:
    detokenizer = Detokenizer(decode_bytes)
    assert "".join(detokenizer.push(0xFF) for _ in range(100)).count("\ufffd") >= 80


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    stream = TextStream(decode_bytes)
    sent = [stream.push(byte) for byte in "ok🙂".encode()[:-1]]
    assert "".join(sent) + stream.finish() == "ok"


@given(
    text=st.text(alphabet="ab\n#", max_size=40),
    stops=st.lists(st.text(alphabet="ab\n#", min_size=1, max_size=4), max_size=4),
    data=st.data(),
)
def test_stop_sequences_for_any_split(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=10).map(sorted))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stop_filter = StopFilter(stops)
    sent = [stop_filter.push(piece) for piece in pieces]
    sent.append(stop_filter.finish())
    expected = stop_reference(text, stops)
    assert "".join(sent) == expected
    assert stop_filter.stopped == (expected != text or any(s in text for s in stops))


@given(text=st.text(max_size=30), stops=st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3))
def test_stops_and_characters_together_token_by_token(text: str, stops: list[str]) -> None:
    text = text.replace("\ufffd", "?")
    stops = [stop.replace("\ufffd", "?") for stop in stops]
    stream = TextStream(decode_bytes, stops)
    sent = ""
    for byte in text.encode():
        sent += stream.push(byte)
        assert stop_reference(text, stops).startswith(sent)  # nothing of a stop, not even for a moment
        if stream.stopped:
            break
    assert sent + stream.finish() == stop_reference(text, stops)


@given(
    text=st.text(
        alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("🙂🏳️\u200d🌈é\u2028")), max_size=30
    )
)
def test_a_real_tokenizer_s_tokens_join_up(text: str) -> None:
    tokenizer = tiny_tokenizer()
    text = text.replace("\ufffd", "?")
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    chunks = [stream.push(token) for token in tokenizer.encode(text).ids]
    assert "".join(chunks) == text
    assert not any("\ufffd" in chunk for chunk in chunks)


def test_a_stop_before_min_tokens_is_plain_text() -> None:
    stream = TextStream(decode_bytes, ["ab"], min_tokens=4)
    sent = "".join(stream.push(byte) for byte in b"abcab")
    assert sent + stream.finish() == "abc"
    assert stream.stopped


def test_an_empty_stop_sequence_is_our_bug() -> None:
    with pytest.raises(ValueError, match="this is a bug"):
        StopFilter([""])

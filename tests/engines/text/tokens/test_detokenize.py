"""Whatever the tokens' boundaries, the chunks of a stream join up to the whole text, cut before the first stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.engines.text.tokens.detokenize import Detokenizer, StopFilter, TextStream
from pilotlight.engines.text.tokens.tokenizer import BackendTokens
from tests.models import tiny_tokenizer
from tests.tokenizers import byte_level_tokenizer, llama_tokenizer


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


TOKENIZERS = {"byte-level": byte_level_tokenizer, "llama": llama_tokenizer}
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("  ab\ufffd🙂é\u2581")), max_size=20
)


def stream_of(tokens: BackendTokens, prompt: list[int], stops: list[str] | None = None) -> TextStream:
    return TextStream(tokens.decode, stops or [], prompt=prompt, special=tokens.special, ends_whole=tokens.ends_whole)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=TEXTS, data=st.data())
def test_the_chunks_are_the_text_of_prompt_and_output_without_that_of_the_prompt(
    kind: str, text: str, data: st.DataObject
) -> None:
    tokens = BackendTokens(TOKENIZERS[kind](), "<s>")
    ids = tokens.encode(f"x{text}", special_tokens=False)
    for _ in range(data.draw(st.integers(0, 3))):
        ids.insert(data.draw(st.integers(0, len(ids))), data.draw(st.sampled_from([1, 2, 3])))
    cut = data.draw(st.integers(next(n for n, token in enumerate(ids) if tokens.decode([token])) + 1, len(ids)))
    prompt, output = ids[:cut], ids[cut:]
    stream = stream_of(tokens, prompt)
    joined = "".join(stream.push(token) for token in output) + stream.finish()
    while tokens.decode(prompt).endswith("\ufffd") and not tokens.ends_whole(prompt):
        prompt.pop()  # the beginning of a character, which the output completes
    assert tokens.decode(prompt) + joined == tokens.decode(ids)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_prompt_that_ends_in_the_replacement_character_is_not_sent_again(kind: str) -> None:
    tokens = BackendTokens(TOKENIZERS[kind](), "<s>")
    prompt = tokens.encode("a\ufffd", special_tokens=False)
    stream = stream_of(tokens, prompt)
    assert [stream.push(token) for token in tokens.encode("b", special_tokens=False)][-1].strip() == "b"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_prompt_that_ends_within_a_character_is_not_sent_again(kind: str) -> None:
    tokens = BackendTokens(TOKENIZERS[kind](), "<s>")
    ids = tokens.encode("hello 🙂", special_tokens=False)
    stream = stream_of(tokens, ids[:-1])
    assert stream.push(ids[-1]) == "🙂"


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", ["\ufffd", "ok\ufffd", "\ufffd\ufffd", "é\ufffd"])
def test_a_replacement_character_that_the_model_writes_is_text(kind: str, text: str) -> None:
    tokens = BackendTokens(TOKENIZERS[kind](), "<s>")
    ids = tokens.encode(text, special_tokens=False)
    stream = stream_of(tokens, [])
    assert "".join(stream.push(token) for token in ids) + stream.finish() == text


@pytest.mark.parametrize("text", ["\ufffd", "ok\ufffd", "é\ufffd"])
def test_it_is_found_out_without_knowing_the_tokens_where_it_is_spread_over_them(text: str) -> None:
    for decode in (decode_bytes, decode_byte_fallback):
        stream = TextStream(decode)
        assert "".join(stream.push(byte) for byte in text.encode()) + stream.finish() == text


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", ["🙂", "ok🙂", "€", "\ufffd🙂"])
def test_the_bytes_of_an_unfinished_character_are_no_text(kind: str, text: str) -> None:
    tokens = BackendTokens(TOKENIZERS[kind](), "<s>")
    ids = tokens.encode(text, special_tokens=False)
    for size in range(len(tokens.encode(text[:-1], special_tokens=False)), len(ids)):
        stream = stream_of(tokens, [])
        assert "".join(stream.push(token) for token in ids[:size]) + stream.finish() == text[:-1]


def test_a_space_after_special_tokens_or_tokens_without_text_is_kept() -> None:
    tokens = BackendTokens(llama_tokenizer(), "<s>")
    world, space = tokens.token_id("▁world"), tokens.token_id("▁")
    assert world is not None
    assert space is not None
    first = tokens.encode("a", special_tokens=False)
    stream = stream_of(tokens, first)
    assert [stream.push(token) for token in (1, world, 1, 1, space, world)] == ["", " world", "", "", " ", " world"]
    answer = stream_of(tokens, [])
    assert [answer.push(token) for token in (world, world)] == ["world", " world"]


@pytest.mark.parametrize(
    ("stops", "ids", "expected", "stopped"),
    [
        (["<|end|>"], "Hi.<|end|>more", "Hi.", True),
        (["<|end|>"], "Hi.</s>more", "Hi.more", False),
        (["<|end|>", "</s>"], "Hi.</s>more", "Hi.", True),
        (["\n<|end|>"], "Hi.<|end|>\n<|end|>more", "Hi.", True),
        (["<|end|>\n"], "Hi.<|end|>x<|end|>\nmore", "Hi.x", True),
        (["<|end|>x"], "Hi.<|end|>more", "Hi.more", False),
        (["<|end|>"], "<|end|>", "", True),
        (["<|"], "Hi.<|end|>more", "Hi.more", False),
    ],
)
def test_special_tokens_in_stop_sequences(stops: list[str], ids: str, expected: str, stopped: bool) -> None:
    tokens = BackendTokens(byte_level_tokenizer(), None)
    stream = stream_of(tokens, [], stops)
    sent = ""
    for token in tokens.encode(ids, special_tokens=False):
        sent += stream.push(token)
        if stream.stopped:
            break
    assert sent + stream.finish() == expected
    assert stream.stopped is stopped


def test_the_text_of_a_special_token_spelled_by_others_stops_too() -> None:
    tokens = BackendTokens(byte_level_tokenizer(), None)
    stream = stream_of(tokens, [], ["<|end|>"])
    spelled = [token for character in "a<|end|>b" for token in tokens.encode(character, special_tokens=False)]
    assert "".join(stream.push(token) for token in spelled) + stream.finish() == "a"

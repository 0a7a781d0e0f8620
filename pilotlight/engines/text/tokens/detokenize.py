"""Turns tokens into text that can be sent at once: whole characters, and no part of a stop sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["Detokenizer", "StopFilter", "TextStream"]

REPLACEMENT = "\ufffd"
# After so many tokens bytes are sent although they are no character. The longest emoji with joiners is shorter.
MAX_HELD_TOKENS = 16
# Tokens of the prompt that are decoded with the first ones of the output. More are taken where these have no text, or
# begin within a character.
PROMPT_TOKENS = 6
MAX_CHARACTER_BYTES = 4
# A window whose last tokens have no text grows to this many tokens, then it is cut all the same.
MAX_WINDOW_TOKENS = 64
# What stands for a special token while stop sequences are searched for: half a surrogate pair, which no text holds.
FIRST_MARK = 0xD800

Decode = Callable[[Sequence[int]], str]


class Detokenizer:
    """Decodes token by token and withholds the bytes of an unfinished character.

    The text of a token may depend on the tokens before it (a decoder that strips the first space, a character spread
    over tokens), so the tokens since the last clean boundary but one are decoded with it. What a decoder shows as
    U+FFFD at the very end may still become a character, so that whole run is withheld: some decoders turn a run of
    byte tokens into characters only when all of it is valid.

    Args:
        decode: token ids to text without special tokens, with U+FFFD for a broken character.
        prompt: tokens that the output continues. The chunks join up to the text of both without that of these.
        special: tokens that ``decode`` leaves out.
        ends_whole: whether the U+FFFD at the end of some tokens' text is one that they spell. Without it, this is found
            out by ``decode`` alone, at the end of the text and for a character that is spread over tokens.
    """

    def __init__(
        self,
        decode: Decode,
        prompt: Sequence[int] = (),
        special: Mapping[int, str] | None = None,
        ends_whole: Callable[[Sequence[int]], bool] | None = None,
    ) -> None:
        self._decode = decode
        self._special = special or {}
        self._ends_whole = ends_whole
        self._window = self._tail([token for token in prompt if token not in self._special])
        # The window's tokens before this one end in a whole character, and so many characters of it were sent.
        self._clean, self._sent = self._last_boundary()

    def push(self, token: int) -> str:
        """Return the text that ``token`` completes; may be empty."""
        if token in self._special:
            return ""
        self._window.append(token)
        text = self._decode(self._window)
        if self._is_whole(text, self._window) or len(self._window) - self._clean > MAX_HELD_TOKENS:
            new = text[self._sent :]
            self._move(text)
            return new
        certain = text.rstrip(REPLACEMENT)
        new = certain[self._sent :]
        self._sent = max(self._sent, len(certain))
        return new

    def finish(self) -> str:
        """Return the withheld text if it is a whole character; the bytes of an unfinished one are dropped."""
        held = len(self._window) - self._clean
        if self._ends_whole is not None or held < 2:
            return ""
        text = self._decode(self._window)
        longer = self._decode([*self._window, self._window[-1]])
        broken = _count_at_end(text)
        # One more byte makes an unfinished character longer or whole; beside a whole one it is broken itself.
        whole = broken < held and _count_at_end(longer) > broken
        return text[self._sent :] if whole else ""

    def _is_whole(self, text: str, ids: Sequence[int]) -> bool:
        """Whether ``text``, that of ``ids``, ends in a whole character."""
        return not text.endswith(REPLACEMENT) or (self._ends_whole is not None and self._ends_whole(ids))

    def _last_boundary(self) -> tuple[int, int]:
        """Return how many of the prompt's tokens in the window end in a whole character, and the length of their text.

        The last ones may be the beginning of a character that the output completes.
        """
        for size in range(len(self._window), max(0, len(self._window) - MAX_CHARACTER_BYTES), -1):
            ids = self._window[:size]
            text = self._decode(ids)
            if self._is_whole(text, ids):
                return size, len(text)
        return 0, 0

    def _move(self, text: str) -> None:
        """Let the window begin at the last clean boundary, unless it has no text from there on.

        A decoder that strips the first space of a text must not find one there.
        """
        rest = self._window[self._clean :]
        shown = self._decode(rest)
        if shown or len(self._window) > MAX_WINDOW_TOKENS:
            self._window, self._sent = rest, len(shown)
        else:
            self._sent = len(text)
        self._clean = len(self._window)

    def _tail(self, prompt: list[int]) -> list[int]:
        """Return the last tokens of the prompt, as many as show text that begins with a whole character."""
        size = PROMPT_TOKENS
        while size < len(prompt):
            text = self._decode(prompt[-size:])
            if text.strip() and not text.startswith(REPLACEMENT):
                break
            size *= 2
        return prompt[-size:]


class StopFilter:
    """Ends a text before the first stop sequence that is complete, however the text is cut into pieces.

    Of two sequences that the same character completes, the one that began earlier counts.

    Args:
        stops: non-empty strings.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if not all(stops):
            raise ValueError("a stop sequence is empty; this is a bug: the caller filters them")
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return the text that can no longer be part of a stop sequence; empty once stopped."""
        if self.stopped:
            return ""
        buffer = self._held + text
        found = [(at + len(stop), at) for stop in self._stops if (at := buffer.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return buffer[: min(found)[1]]
        keep = self._longest_beginning(buffer)
        self._held = buffer[len(buffer) - keep :]
        return buffer[: len(buffer) - keep]

    def finish(self) -> str:
        """Return the withheld text, which is no stop sequence after all."""
        held, self._held = self._held, ""
        return held

    def _longest_beginning(self, buffer: str) -> int:
        """Return the length of the longest end of ``buffer`` that begins a stop sequence."""
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(buffer)), longest, -1):
                if buffer.endswith(stop[:size]):
                    longest = size
                    break
        return longest


class TextStream:
    """A generation's text: tokens to characters, ended by stop sequences.

    A stop sequence that holds the text of a special token is found where the model writes that token, though the text
    itself never shows it.

    Args:
        decode: token ids to text.
        stops: sequences that end the text.
        min_tokens: a sequence that is complete before so many tokens is ordinary text.
        prompt, special, ends_whole: as in Detokenizer.
    """

    def __init__(
        self,
        decode: Decode,
        stops: Sequence[str] = (),
        min_tokens: int = 0,
        *,
        prompt: Sequence[int] = (),
        special: Mapping[int, str] | None = None,
        ends_whole: Callable[[Sequence[int]], bool] | None = None,
    ) -> None:
        self._characters = Detokenizer(decode, prompt, special, ends_whole)
        named = {token: text for token, text in (special or {}).items() if text and any(text in stop for stop in stops)}
        self._marks = {token: chr(FIRST_MARK + number) for number, token in enumerate(named)}
        self._unmark = {ord(mark): None for mark in self._marks.values()}
        marked = [self._marked(stop, named) for stop in stops]
        self._filter = StopFilter(tuple(dict.fromkeys([*stops, *marked])))
        self._free_tokens = max(0, min_tokens - 1)

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence has ended the text."""
        return self._filter.stopped

    def push(self, token: int) -> str:
        """Return the text that can be sent now; may be empty."""
        text = self._characters.push(token)
        if self._free_tokens:
            self._free_tokens -= 1
            return text
        return self._shown(self._filter.push(text + self._marks.get(token, "")))

    def finish(self) -> str:
        """Return the rest after the last token; the bytes of an unfinished character are dropped."""
        text = "" if self.stopped else self._filter.push(self._characters.finish())
        return self._shown(text + self._filter.finish())

    def _marked(self, stop: str, named: Mapping[int, str]) -> str:
        """Return the sequence with a mark in the place of each special token, the longest one first."""
        for token, text in sorted(named.items(), key=lambda item: -len(item[1])):
            stop = stop.replace(text, self._marks[token])
        return stop

    def _shown(self, text: str) -> str:
        return text.translate(self._unmark) if self._unmark else text


def _count_at_end(text: str) -> int:
    """Return how many U+FFFD a text ends in."""
    return len(text) - len(text.rstrip(REPLACEMENT))

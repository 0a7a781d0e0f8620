"""Turns tokens into text that can be sent at once: whole characters, and no part of a stop sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Detokenizer", "StopFilter", "TextStream"]

REPLACEMENT = "\ufffd"
# After so many tokens bytes are sent although they are no character. The longest emoji with joiners is shorter.
MAX_HELD_TOKENS = 16


class Detokenizer:
    """Decodes token by token and withholds the bytes of an unfinished character.

    The text of a token may depend on the tokens before it (a decoder that strips the first space, a character spread
    over tokens), so the tokens since the last clean boundary but one are decoded with it. What a decoder shows as
    U+FFFD at the very end may still become a character, so that whole run is withheld: some decoders turn a run of
    byte tokens into characters only when all of it is valid.

    Args:
        decode: token ids to text, with U+FFFD for a broken character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._clean = 0  # the window's tokens before this one ended in a whole character
        self._sent = 0  # characters of the window's text that were sent

    def push(self, token: int) -> str:
        """Return the text that ``token`` completes; may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        certain = text.rstrip(REPLACEMENT)
        if len(certain) == len(text) or len(self._window) - self._clean > MAX_HELD_TOKENS:
            new = text[self._sent :]
            self._window = self._window[self._clean :]
            self._clean = len(self._window)
            self._sent = len(self._decode(self._window))
            return new
        new = certain[self._sent :]
        self._sent = max(self._sent, len(certain))
        return new


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

    Args:
        decode: token ids to text.
        stops: sequences that end the text.
        min_tokens: a sequence that is complete before so many tokens is ordinary text.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = (), min_tokens: int = 0) -> None:
        self._characters = Detokenizer(decode)
        self._filter = StopFilter(stops)
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
        return self._filter.push(text)

    def finish(self) -> str:
        """Return the rest after the last token; the bytes of an unfinished character are dropped."""
        return self._filter.finish()

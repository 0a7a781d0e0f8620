"""An engine without a model, for tests: it gives the texts that it is told to give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.engines.text.types import EngineInfo, GenerationRequest

__all__ = ["CharacterCodec", "FakeBackend", "FakeEngine"]

END_OF_TEXT = 0


class CharacterCodec:
    """A token is a character; 0 is the end of text. Chats are lines of ``role: content``."""

    def __init__(self, *, chat: bool = False) -> None:
        self._chat = chat

    @property
    def longest_token_chars(self) -> int:
        return 1

    @property
    def special(self) -> Mapping[int, str]:
        return {END_OF_TEXT: "\0"}

    @property
    def answer_ends(self) -> tuple[int, ...]:
        return ()

    def token_id(self, token: str) -> int | None:
        return ord(token) if len(token) == 1 else None

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        return [ord(character) for character in text]

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Return the tokens of a text, or of two with a token 0 between them, and which text each belongs to."""
        first, second = self.encode(text), [] if pair is None else [END_OF_TEXT, *self.encode(pair)]
        return first + second, [0] * len(first) + [1] * len(second)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(token) for token in ids if token != END_OF_TEXT)

    def ends_whole(self, ids: Sequence[int]) -> bool:
        return True

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, Any]], *, continue_last: bool = False, input_name: str = "messages"
    ) -> str | None:
        if not self._chat:
            return None
        text = "".join(f"{turn['role']}: {_text_of(turn['content'])}\n" for turn in messages)
        return text[:-1] if continue_last else text + "assistant:"


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class FakeBackend(ThreadedBackend):
    """Gives each generation the characters of ``reply``, all running ones in step.

    Args:
        reply, before_step, slots, context_tokens: as in FakeEngine.
    """

    cache_bytes = 0

    def __init__(
        self,
        reply: Callable[[GenerationRequest], str],
        *,
        before_step: Callable[[], None] = lambda: None,
        slots: int = 4,
        context_tokens: int = 1000,
    ) -> None:
        super().__init__("pilotlight-fake", waits_for_readers=False)
        self.slots = slots
        self.context_tokens = context_tokens
        self._reply = reply
        self._before_step = before_step
        self._replies: dict[Generation, list[int]] = {}  # only the thread uses it
        self.start()

    def advance(self) -> None:
        self._replies = {generation: left for generation, left in self._replies.items() if not generation.ended}
        for generation in self.take(self.slots - len(self._replies)):
            self._replies[generation] = [*map(ord, self._reply(generation.request)), END_OF_TEXT]
        if self._replies:
            self._before_step()
        for generation, left in list(self._replies.items()):
            if generation.push(left.pop(0)):
                del self._replies[generation]

    def running(self) -> list[Generation]:
        return list(self._replies)


class FakeEngine(BackendEngine):
    """Answers every request with ``reply(request)`` and an end-of-text token, all running requests in step.

    Args:
        reply: the text to give; one character is one token.
        before_step: called before each step, on the engine's thread: wait in it to hold the engine, raise in it to kill
            the engine.
        context_tokens, slots, queue_size: as in EngineInfo.
        chat: whether the model has a chat template.
    """

    def __init__(
        self,
        reply: Callable[[GenerationRequest], str] = lambda request: request.prompt[::-1],
        *,
        before_step: Callable[[], None] = lambda: None,
        context_tokens: int = 1000,
        slots: int = 4,
        queue_size: int = 4,
        chat: bool = False,
    ) -> None:
        backend = FakeBackend(reply, before_step=before_step, slots=slots, context_tokens=context_tokens)
        info = EngineInfo("fake", "fake", "cpu", "float32", context_tokens, slots, queue_size)
        super().__init__(backend, CharacterCodec(chat=chat), (END_OF_TEXT,), info)

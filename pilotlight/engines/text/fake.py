"""An engine without a model, for the tests of everything above engines: it says what it is told to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from pilotlight.engines.text.admission import Admission
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, FinishReason, GenerationRequest, TokenCodec
from pilotlight.errors import EngineError

__all__ = ["CharacterCodec", "FakeEngine"]

END_OF_TEXT = 0


class CharacterCodec:
    """A token is a character; 0 is the end of text.  Chats are lines of ``role: content``."""

    def __init__(self, *, chat: bool = False) -> None:
        self._chat = chat

    @property
    def longest_token_chars(self) -> int:
        return 1

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(token) for token in ids if token != END_OF_TEXT)

    def apply_chat_template(self, messages: Sequence[dict[str, str]]) -> str | None:
        if not self._chat:
            return None
        return "".join(f"{turn['role']}: {turn['content']}\n" for turn in messages) + "assistant:"


class FakeEngine:
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
        self._reply = reply
        self._before_step = before_step
        self._codec = CharacterCodec(chat=chat)
        self._info = EngineInfo("fake", "fake", "cpu", "float32", context_tokens, slots, queue_size)
        self._admission = Admission(self._codec, context_tokens, slots + queue_size)
        self._changed = threading.Condition()
        self._live: dict[Generation, list[int]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pilotlight-fake", daemon=True)
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def codec(self) -> TokenCodec:
        return self._codec

    def submit(self, request: GenerationRequest) -> Generation:
        prompt_ids = self._admission.encode(request)
        self._admission.enter(stopped=not self.healthy())
        room = self._info.context_tokens - len(prompt_ids)
        generation = Generation(
            request,
            prompt_ids,
            self._codec,
            max_tokens=min(request.sampling.max_tokens, room),
            eos_ids=(END_OF_TEXT,),
            on_end=self._ended,
        )
        with self._changed:
            self._live[generation] = [*self._codec.encode(self._reply(request)), END_OF_TEXT]
            self._changed.notify()
        return generation

    def healthy(self) -> bool:
        return not self._closed and self._thread.is_alive()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._live or self._closed)
                    running = list(self._live)[: self._info.slots]
                if self._closed:
                    break
                self._before_step()
                for generation in running:
                    with self._changed:
                        tokens = self._live.get(generation)
                    if tokens is not None:
                        generation.push(tokens.pop(0))
        except Exception as error:  # noqa: BLE001 - a test killed the engine: everybody inside is told
            self._closed = True
            for generation in list(self._live):
                generation.fail(EngineError(f"the engine died: {error}"))
        for generation in list(self._live):
            generation.stop()

    def _ended(self, generation: Generation, reason: FinishReason | None) -> None:
        with self._changed:
            self._live.pop(generation, None)
        self._admission.leave()

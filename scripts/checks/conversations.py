"""Conversations of real use, and what transformers' ``generate`` makes of them: greedy, in float32."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pilotlight.adapters.text_inputs import TextInputs

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "conversations.json"
DAYS = 240
WEATHER = ("the sun shone", "there was fog", "it was windy", "clouds came and went", "it was cold and clear")
WORK = ("mended the fence", "wrote two letters", "walked to the mill", "baked bread", "read about ships", "sowed beans")
FIRST_RAIN = 171


@dataclass(frozen=True, slots=True)
class Conversation:
    """One entry of the file.

    Attributes:
        name: of the entry.
        inputs: of a prediction, without those that choose tokens.
        turns: the same as messages.
    """

    name: str
    inputs: dict[str, Any]
    turns: tuple[dict[str, str], ...]

    @property
    def prefilled(self) -> bool:
        """Whether the model continues the last message."""
        return self.turns[-1]["role"] == "assistant"

    @property
    def stops(self) -> list[str]:
        return [stop for stop in self.inputs.get("stop_sequences", "").split(",") if stop]

    def request(self) -> TextInputs:
        """Return the inputs of a greedy prediction."""
        messages = self.inputs.get("messages")
        given = self.inputs | ({"messages": json.dumps(messages)} if messages else {})
        return TextInputs(temperature=0, seed=0, **given)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says.

    Attributes:
        ids: its tokens, an end-of-text token and those of a stop sequence included.
        text: without special tokens, ended before the stop sequence, and without the bytes of an unfinished character.
    """

    ids: tuple[int, ...]
    text: str


def conversations(path: Path = DATA) -> list[Conversation]:
    """Return the entries of the file; ``{journal}`` in a message becomes a text of about 6,000 tokens."""
    found = []
    for entry in json.loads(path.read_text("utf-8")):
        inputs = json.loads(json.dumps(entry["inputs"]).replace("{journal}", "\\n".join(journal())))
        turns = inputs.get("messages") or [{"role": "user", "content": inputs["prompt"]}]
        if "system_prompt" in inputs:
            turns = [{"role": "system", "content": inputs["system_prompt"]}, *turns]
        found.append(Conversation(entry["name"], inputs, tuple(turns)))
    return found


def journal() -> Iterator[str]:
    """Yield one line for each day."""
    for day in range(1, DAYS + 1):
        weather = "it rained" if day >= FIRST_RAIN and day % 7 == 3 else WEATHER[day * 3 % len(WEATHER)]
        yield f"Day {day}: {weather}; I {WORK[day * day % len(WORK)]} and went to bed at {8 + day % 3} o'clock."


class Reference:
    """A model folder as transformers itself runs it, in float32 on the CPU."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def prompt_ids(self, conversation: Conversation) -> list[int]:
        """Return the tokens of a conversation's prompt."""
        ids: list[int] = self.tokenizer.apply_chat_template(
            list(conversation.turns),
            add_generation_prompt=not conversation.prefilled,
            continue_final_message=conversation.prefilled,
            return_dict=False,
        )
        return ids

    @torch.inference_mode()
    def answer(self, conversation: Conversation, max_tokens: int | None = None) -> Answer:
        """Return what ``generate`` answers, with ``max_tokens`` instead of the conversation's where given."""
        prompt = torch.tensor([self.prompt_ids(conversation)])
        stops = {"stop_strings": conversation.stops, "tokenizer": self.tokenizer} if conversation.stops else {}
        output = self._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=max_tokens or conversation.inputs["max_tokens"],
            **stops,
        )
        ids = output[0, prompt.shape[1] :].tolist()
        # Only a stop sequence that is a special token is found in the text with those.
        written = self.tokenizer.decode(ids)
        cut = min((written.index(stop) for stop in conversation.stops if stop in written), default=len(written))
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        # No model here spells U+FFFD: at the end it is a character that the limit of tokens has cut.
        return Answer(tuple(ids), text[:cut].rstrip("\ufffd"))


def differences(expected: Answer, got: Answer) -> Sequence[str]:
    """Return how two answers differ, in words; empty if they do not."""
    found = []
    if got.ids != expected.ids:
        pairs = enumerate(zip(got.ids, expected.ids, strict=False))
        first = next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(got.ids), len(expected.ids)))
        found.append(f"tokens differ from number {first + 1} on, of {len(got.ids)} and {len(expected.ids)}")
    if got.text != expected.text:
        found.append(f"text {got.text!r} instead of {expected.text!r}")
    return found

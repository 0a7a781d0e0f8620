"""The shapes of OpenAI's API: bodies that are sent to it, and objects that it answers with. Pure.

A body has the fields that OpenAI's clients may send, with OpenAI's types. ``openai.inputs`` refuses the fields that the
predictor has no input for; fields that do not change the text (``user``, ``metadata``) are accepted and not passed on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version

DONE = b"data: [DONE]\n\n"

# Fields that do not change the text: OpenAI's own service stores, bills or routes by them.
_NO_EFFECT = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prediction")


class StreamOptions(BaseModel):
    """What a stream holds beside the text.

    ``include_obfuscation`` has no effect, since events are not padded; nor has ``continuous_usage_stats``, an option
    of vLLM's that benchmarks send, since predictors report their usage at the end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(BaseModel):
    """The fields of both routes; any other key is in ``model_extra``, and may be an input of the predictor."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    ignore_eos: bool | None = None

    @property
    def limit(self) -> dict[str, int | None]:
        """The most tokens of the text, by the field that says so: the newer one where both are given."""
        if self.max_completion_tokens is not None:
            return {"max_completion_tokens": self.max_completion_tokens}
        return {"max_tokens": self.max_tokens}

    @property
    def end_user(self) -> str | None:
        """Return ``user``, whose requests stay on one version of a deployment; ``None`` without."""
        user = (self.model_extra or {}).get("user")
        return user if isinstance(user, str) and user else None

    @property
    def others(self) -> dict[str, Any]:
        """The further keys, without those that have no effect."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in _NO_EFFECT}


class CompletionBody(_Body):
    """Completes a prompt."""

    prompt: str | list[str] | list[int] | list[list[int]]


class ContentPart(BaseModel):
    """One part of a message; of the types there are, ``openai.inputs`` takes texts."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    text: str | None = None


class Message(BaseModel):
    """One turn of a conversation; ``openai.inputs`` says which further fields it may have."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None


class ChatBody(_Body):
    """Answers a conversation."""

    messages: Annotated[list[Message], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Said:
    """What a prediction has said.

    Attributes:
        record: the prediction, which has succeeded.
        text: its text.
        cut: whether the gateway has cut the text before a stop sequence.
    """

    record: PredictionRecord
    text: str
    cut: bool

    @property
    def finish_reason(self) -> str:
        """Why the text ends, as the predictor reports in ``finish_reason``; ``stop`` where it does not."""
        reported = self.record.metrics.get("finish_reason")
        return reported if reported in ("stop", "length", "content_filter") and not self.cut else "stop"


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The form of the answers of one of the two routes.

    Attributes:
        prefix: the first part of ids.
        whole: the ``object`` of a complete answer.
        piece: the ``object`` of an event of a stream.
        chat: whether a text is a message.
    """

    prefix: str
    whole: str
    piece: str
    chat: bool

    def answer(self, version: Version, said: Sequence[Said], samples: int = 1) -> dict[str, Any]:
        """Return the answer for predictions that have succeeded, with their usage where the predictor reports it.

        Args:
            version: the version that ran.
            said: the texts, one for each choice.
            samples: how many choices there are of one prompt.
        """
        choices = [self._choice(index, one) for index, one in enumerate(said)]
        records = [one.record for one in said]
        shown = {**self._head(self.whole, version, records[0]), "choices": choices}
        counted = usage(records, samples)
        return shown if counted is None else {**shown, "usage": counted}

    def event(
        self,
        version: Version,
        record: PredictionRecord,
        index: int,
        text: str | None,
        *,
        first: bool,
        end: str | None,
        counts: bool,
    ) -> bytes:
        """Return one event of a stream.

        Args:
            version: the version that runs.
            record: the prediction of the first choice.
            index: the choice.
            text: its next piece; ``None`` at its end.
            first: whether this is its first event.
            end: why its text ends; ``None`` before the end.
            counts: whether an event with the usage follows, which every event before it announces.
        """
        delta = {**({"role": "assistant"} if first else {}), **({} if text is None else {"content": text})}
        said: dict[str, Any] = {"delta": delta} if self.chat else {"text": text or ""}
        choice = {"index": index, **said, "logprobs": None, "finish_reason": end}
        shown = {**self._head(self.piece, version, record), "choices": [choice]}
        return encode({**shown, "usage": None} if counts else shown)

    def counted(self, version: Version, records: Sequence[PredictionRecord], samples: int) -> bytes:
        """Return the last event, with the usage; ``null`` where the predictor does not report it."""
        return encode({**self._head(self.piece, version, records[0]), "choices": [], "usage": usage(records, samples)})

    def _choice(self, index: int, one: Said) -> dict[str, Any]:
        message = {"role": "assistant", "content": one.text, "refusal": None}
        shown: dict[str, Any] = {"message": message} if self.chat else {"text": one.text}
        return {"index": index, **shown, "logprobs": None, "finish_reason": one.finish_reason}

    def _head(self, kind: str, version: Version, record: PredictionRecord) -> dict[str, Any]:
        return {
            "id": f"{self.prefix}-{record.id}",
            "object": kind,
            "created": int(record.created_at),
            "model": version.model,
            "system_fingerprint": f"fp_{version.id[:12]}",
        }


COMPLETION = AnswerShape("cmpl", "text_completion", "text_completion", chat=False)
CHAT = AnswerShape("chatcmpl", "chat.completion", "chat.completion.chunk", chat=True)


def encode(document: dict[str, Any]) -> bytes:
    """Return a document as one event, in ASCII: some clients also end a line at U+2028."""
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


def model(version: Version) -> dict[str, Any]:
    """Return an entry of the list of models."""
    return {"id": version.model, "object": "model", "created": int(version.created_at), "owned_by": version.owner}


def usage(records: Sequence[PredictionRecord], samples: int = 1) -> dict[str, int] | None:
    """Return the numbers of tokens that the predictor reports; ``None`` where it does not. Nothing is estimated.

    A prompt that ``samples`` predictions in a row have in common is counted once.
    """
    counts = [[_count(record, f"{side}_token_count") for side in ("input", "output")] for record in records]
    prompt = completion = 0
    for number, (read, written) in enumerate(counts):
        if read is None or written is None:
            return None
        prompt += read if number % samples == 0 else 0
        completion += written
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _count(record: PredictionRecord, metric: str) -> int | None:
    count = record.metrics.get(metric)
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def text_of_output(output: Any) -> str:
    """Return the output of a text predictor, with its chunks joined."""
    if output is None:
        return ""
    return output if isinstance(output, str) else "".join(str(chunk) for chunk in output)

"""Says back the last thing it was told, a word at a time, and counts words as if they were tokens."""

import json
import threading

from cog import BasePredictor, ConcatenateIterator, Input, current_scope


class InputError(Exception):
    pass


class Predictor(BasePredictor):
    def predict(
        self,
        prompt: str = Input(default=""),
        messages: str = Input(default="[]"),
        max_tokens: int = Input(default=5, ge=1),
        temperature: float = Input(default=1.0, ge=0, le=5),
        stop_sequences: str = Input(default=""),
        pause_s: float = Input(default=0.0, ge=0, le=60),
    ) -> ConcatenateIterator[str]:
        turns = json.loads(messages)
        if turns and turns[-1]["role"] != "user":
            raise InputError("messages: the last one has to be the user's")
        text = turns[-1]["content"] if turns else prompt
        stops = [stop for stop in stop_sequences.split(",") if stop]
        given, said, reason = text.split(), [], "stop"
        for word in given:
            if word in stops:
                break
            if len(said) == max_tokens:
                reason = "length"
                break
            if word == "boom":
                raise RuntimeError("boom")
            said.append(word)
            yield f"{word} "
            threading.Event().wait(pause_s)
        scope = current_scope()
        scope.record_metric("input_token_count", len(given))
        scope.record_metric("output_token_count", len(said))
        scope.record_metric("finish_reason", reason)

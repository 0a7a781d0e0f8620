"""Streams text, and goes wrong in every way that its input `mode` names."""

import ctypes
import os
import signal
import sys
import threading
import time

from cog import BasePredictor, CancelationException, ConcatenateIterator, Input, current_scope


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("loading the text model")

    def predict(
        self,
        prompt: str = Input(description="What to say"),
        mode: str = Input(default="echo"),
        count: int = Input(default=3, ge=0, le=200_000),
        pause_s: float = Input(default=0.0, ge=0, le=600),
    ) -> ConcatenateIterator[str]:
        print(f"mode {mode}")
        print("to stderr", file=sys.stderr)
        current_scope().record_metric("count", count)
        pause = threading.Event()
        for index in range(count):
            yield f"{prompt}{index} "
            # In steps, because a cancel arrives between two lines of Python.
            end = time.monotonic() + pause_s
            while time.monotonic() < end:
                try:
                    pause.wait(0.01)
                except CancelationException:
                    if mode != "stubborn":
                        raise
        match mode:
            case "raise":
                raise RuntimeError("boom")
            case "crash":
                raise RuntimeError("Worker crashed")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "blocked":
                ctypes.PyDLL(None).sleep(60)
            case "greeting":
                yield os.environ["GREETING"]
            case "context":
                yield current_scope().context["who"]
            case "pid":
                yield str(os.getpid())

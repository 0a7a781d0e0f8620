"""One prediction at a time, each quick; number ``stalls_at`` takes a second, and ``dies_at`` is the last."""

import os
import signal
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.served = 0

    def predict(self, stalls_at: int = 0, dies_at: int = 0) -> int:
        self.served += 1
        if self.served == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1.0 if self.served == stalls_at else 0.002)
        return self.served

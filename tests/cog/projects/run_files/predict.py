"""Writes its text into as many files as it is asked for."""

import tempfile

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(
        self,
        source: Path = Input(description="Copied"),
        copies: int = Input(default=1, ge=0, le=9),
    ) -> list[Path]:
        paths = []
        for index in range(copies):
            path = Path(tempfile.mkdtemp()) / f"copy{index}{source.suffix}"
            path.write_bytes(source.read_bytes())
            paths.append(path)
        return paths

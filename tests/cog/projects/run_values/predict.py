"""Returns a value of the kind that `kind` names."""

import tempfile
from typing import Any

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(
        self,
        kind: str = Input(choices=["text", "list", "object", "number", "nothing", "file", "files"]),
        text: str = Input(default="value"),
        document: Path | None = Input(default=None),
    ) -> Any:
        match kind:
            case "list":
                return [text, text]
            case "object":
                return {"text": text, "length": len(text)}
            case "number":
                return len(text)
            case "nothing":
                return None
            case "file":
                return self.write(document.read_text() if document else text)
            case "files":
                return [self.write(text), self.write(text)]
        return text

    def write(self, text: str) -> Path:
        path = Path(tempfile.mkdtemp()) / "result.txt"
        path.write_text(text)
        return path

"""Holds eight predictions at once, and does with each what its input `do` names: values, files, logs, failures."""

import asyncio
import hashlib
import tempfile
from typing import Any

from cog import BasePredictor, Input, Path, Secret, current_scope


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.meetings: dict[str, asyncio.Barrier] = {}

    async def predict(
        self,
        do: str = Input(
            choices=["value", "text", "look", "files", "nested", "meet", "log", "measure", "raise", "wait"]
        ),
        text: str = Input(default="", description="Used by most of them"),
        value: dict = Input(default={}),
        count: int = Input(default=1, ge=0, le=5_000_000),
        ratio: float = Input(default=0.5, ge=0, le=1),
        tags: list[str] = Input(default=[]),
        document: Path | None = Input(default=None),
        documents: list[Path] = Input(default=[]),
        token: Secret | None = Input(default=None),
    ) -> Any:
        match do:
            case "text":
                return text * count
            case "look":
                return [_seen(path) for path in [document, *documents] if path is not None]
            case "files":
                return [_written(text, str(index)) for index in range(count)]
            case "nested":
                return {"files": [{"file": _written(text, "deep")}], "text": text}
            case "meet":
                # Nobody leaves before all have come.
                await self.meetings.setdefault(text, asyncio.Barrier(count)).wait()
            case "log":
                for index in range(count):
                    print(f"{text}{index}")
                    await asyncio.sleep(0)
            case "measure":
                for index in range(count):
                    current_scope().record_metric(f"number_{index}", index)
                current_scope().record_metric("ratio", ratio)
                current_scope().record_metric("words", text)
            case "wait":
                print("waiting")
                await asyncio.sleep(60 * ratio)
            case "raise":
                print(f"given {token}")
                raise ValueError(f"{text} {token}")
        return value.get("is")


def _seen(path: Path) -> list[Any]:
    content = path.read_bytes()
    return [path.name, len(content), hashlib.sha256(content).hexdigest()]


def _written(name: str, text: str) -> Path:
    path = Path(tempfile.mkdtemp()) / name
    path.write_text(text)
    return path

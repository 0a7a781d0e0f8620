# ruff: noqa: UP045 - both ways to say Optional
"""A predictor for each kind of output that Cog documents, and for those that only its build tool takes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, NotRequired, Optional, TypedDict

import cog
import pydantic
from cog import AsyncConcatenateIterator, BaseModel, BasePredictor, BaseRunner, ConcatenateIterator, Opaque


def written(text: str) -> cog.Path:
    path = cog.Path(tempfile.mkdtemp()) / "out.txt"
    path.write_text(text)
    return path


class Scored(BaseModel):
    label: str
    note: Optional[str]
    score: float = 1.0
    image: Optional[cog.Path] = None


class Box(pydantic.BaseModel):
    corner_points: list[list[int]]
    inner: "Box | None" = None


class Row(TypedDict):
    name: str
    size: NotRequired[int]


class Text(BaseRunner):
    def run(self) -> str:
        return "héllo"


class Number(BaseRunner):
    def run(self) -> float:
        return 1.5


class Files(BasePredictor):
    def predict(self) -> list[cog.Path]:
        return [written("one"), written("two")]


class CogModel(BaseRunner):
    def run(self) -> Scored:
        return Scored(label="cat", score=0.5, note=None, image=written("picture"))


class PydanticModels(BaseRunner):
    def run(self) -> list[Box]:
        return [Box(corner_points=[[0, 1], [2, 3]], inner=Box(corner_points=[]))]


class TypedDicts(BaseRunner):
    def run(self) -> dict[str, list[Row]]:
        return {"rows": [{"name": "a", "size": 1}, {"name": "b"}]}


class Anything(BaseRunner):
    def run(self) -> Any:
        return {"any": [1, None, "x"]}


class Hidden(BaseRunner):
    def run(self) -> Annotated[list[object], Opaque]:
        return [{"a": 1}]


class Chunks(BaseRunner):
    def run(self) -> Iterator[int]:
        yield from (1, 2, 3)


class Words(BaseRunner):
    @cog.streaming
    def run(self) -> ConcatenateIterator[str]:
        yield from ("one ", "two")


class AsyncChunks(BaseRunner):
    async def run(self) -> AsyncIterator[str]:
        for chunk in ("a", "b"):
            await asyncio.sleep(0)
            yield chunk


class AsyncWords(BaseRunner):
    @cog.streaming()
    async def run(self) -> AsyncConcatenateIterator[str]:
        for word in ("one ", "two"):
            await asyncio.sleep(0)
            yield word

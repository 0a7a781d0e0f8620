# ruff: noqa: UP007, UP045 - written as users write it: Input() in defaults, both ways to say Optional and Union
"""Every kind of input that Cog documents; answers with what arrived, so that a test can look at it."""

from typing import Annotated, Any, Optional, TypedDict, Union

import cog
from cog import BasePredictor, File, Input, Opaque, Path, Secret
from palette import COLORS


class Message(TypedDict):
    role: str
    content: str


class Predictor(BasePredictor):
    def predict(
        self,
        text: str = Input(description="A short text", min_length=2, max_length=8),
        bare: int = 7,
        count: int = Input(description="How many", default=3, ge=1, le=10),
        ratio: float = Input(default=0.5, ge=0.0, le=1.5),
        flag: bool = Input(default=True),
        color: str = Input(choices=COLORS, default="red"),
        size: int = Input(choices=[1, 2, 4], default=2),
        code: str = Input(regex=r"^[a-z]+-[0-9]+$", default="ab-1"),
        seed: Optional[int] = Input(default=None, description="Optional with a default of None"),
        note: Optional[str] = Input(description="Optional without a default"),
        tags: list[str] = Input(default=["a", "b"]),
        numbers: list[int] | None = None,
        value: str | float | None = Input(default=None),
        either: Union[int, list[int]] = 1,
        options: dict = Input(default={"deep": {"er": 1}}),
        anything: Any = Input(default={}),
        messages: list[Message] = Input(default=[]),
        foreign: Annotated[list[object], Opaque] = Input(default=[]),
        image: Path | None = Input(default=None, accept="image/*"),
        images: list[Path] = Input(default=[]),
        file: Optional[File] = Input(default=None),
        token: Secret = Input(default=None, description="None makes a secret optional"),
        old_name: str = Input(default="", deprecated=True),
    ) -> dict[str, Any]:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        return {name: [type(value).__name__, _shown(value)] for name, value in given.items()}


def _shown(value: object) -> object:
    if isinstance(value, cog.Path):
        return value.read_text()
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, cog.Secret):
        return [str(value), value.get_secret_value()]
    return value.read().decode() if hasattr(value, "read") else value

"""``.fetch.json``: what an unfinished model folder is to become, so that the same command resumes the same commit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PLAN_NAME", "FetchPlan"]

PLAN_NAME = ".fetch.json"


class FetchPlan(BaseModel):
    """The source and commit of an unfinished folder, so that the same command continues with the same commit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    source: Annotated[str, Field(min_length=1)]
    revision: str | None = None

from pathlib import Path

import pytest

from pilotlight.bench.harness.documents import Document, read_document, require_same
from pilotlight.errors import UsageError


class Other(Document):
    format: str = "pilotlight-other"
    format_version: int = 2


def test_the_message_names_the_kind_that_was_expected(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"x\.json is not a pilotlight-other of version 2: created_at: Field required"):
        read_document(Other, tmp_path / "x.json")


def test_what_differs_is_named() -> None:
    require_same("settings", {"a": {"b": 1}}, {"a": {"b": 1}})
    with pytest.raises(UsageError, match=r"settings, a, b is 1 in one and None in the other"):
        require_same("settings", {"a": {"b": 1}}, {"a": {}})

"""docs/platform-capabilities.md says what the conformance suite asserts."""

from dataclasses import fields

from tests.client.capabilities import PLATFORMS, Capabilities, page
from tests.client.platforms import OPENERS
from tests.paths import ROOT

PAGE = ROOT / "docs" / "platform-capabilities.md"


def test_the_page_is_made_from_the_table():
    assert PAGE.read_text() == page(), "python -m tests.client.capabilities > docs/platform-capabilities.md"


def test_every_platform_can_be_opened_and_none_is_left_out():
    assert OPENERS.keys() == PLATFORMS.keys()


def test_what_is_no_difference_is_in_no_row():
    for field in fields(Capabilities):
        assert len({getattr(one, field.name) for one in PLATFORMS.values()}) > 1, f"{field.name} differs nowhere"

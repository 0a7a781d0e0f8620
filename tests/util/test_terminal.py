"""Which characters of others a terminal gets."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.util.terminal import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, with\ttabs\nand lines", "plain text, with\ttabs\nand lines"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("\x1b]52;c;Y3VybA==\x07", "\\x1b]52;c;Y3VybA==\\x07"),
        ("\x9b31m\x9d0;title\x9c", "\\x9b31m\\x9d0;title\\x9c"),
        ("done\rfailed", "done\\x0dfailed"),
        ("line\r\nline", "line\nline"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\u00e4\u05d0\u0627\u4e2d \U0001f468\u200d\U0001f469", "\u00e4\u05d0\u0627\u4e2d \U0001f468\u200d\U0001f469"),
    ],
)
def test_what_steers_or_misleads_is_escaped_and_the_rest_is_left(text, shown):
    assert escaped(text) == shown


def test_a_name_stays_on_its_line():
    assert escaped("a\nb\tc", one_line=True) == "a\\nb\\tc"


@given(st.text())
def test_no_control_character_and_no_change_of_direction_is_left(text):
    shown = escaped(text)
    assert all(one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in shown)
    assert all(unicodedata.bidirectional(one) not in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI") for one in shown)
    assert escaped(shown) == shown


@given(st.text(), st.text())
def test_chunks_are_escaped_as_their_whole_is(one, other):
    if not (one.endswith("\r") and other.startswith("\n")):
        assert escaped(one) + escaped(other) == escaped(one + other)

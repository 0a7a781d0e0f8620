"""Both forms of ``Retry-After``."""

import pytest

from pilotlight.util.retry_after import retry_after_s


@pytest.mark.parametrize(
    ("value", "asked_s"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30),
        ("Wed, 21 Oct 2015 08:28:30 +0100", 30),
        (" 7 ", 7),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_both_forms_of_retry_after_are_read(value, asked_s):
    assert retry_after_s(value, now=1445412480.0) == asked_s

"""Sizes in bytes."""

import pytest

from pilotlight.util.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8GiB", 8 << 30),
        ("300MB", 300_000_000),
        ("1.5 kib", 1536),
        ("2e9", 2_000_000_000),
        ("17", 17),
        ("1tb", 10**12),
        ("0MB", None),
        ("8 apples", None),
        ("-1GB", None),
        ("", None),
        ("1e400", None),
        ("٣MB", None),
    ],
)
def test_sizes(text, size_bytes):
    assert parse_size(text) == size_bytes

"""Media types by name."""

import pytest

from pilotlight.util.media_types import media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.png", "image/png"),
        ("data.json", "application/json"),
        ("data.json.gz", "application/gzip"),
        ("w.tar.gz", "application/gzip"),
        ("w.tgz", "application/gzip"),
        ("a.csv.bz2", "application/x-bzip2"),
        ("a.xz", "application/x-xz"),
        ("a.unknown", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_a_compressed_file_has_the_type_of_its_compression(name, expected):
    assert media_type(name) == expected

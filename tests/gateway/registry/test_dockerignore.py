"""What a ``.dockerignore`` leaves out."""

import pytest

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.digest import list_entries
from pilotlight.gateway.registry.dockerignore import parse_ignore

PATHS = ["cog.yaml", "a.txt", "b.md", "docs/a.txt", "docs/deep/a.txt", "data/x.bin", "data/keep/x.bin", "x-1", "[odd]"]


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("", []),
        ("# docs\n\n", []),
        ("docs", ["docs/a.txt", "docs/deep/a.txt"]),
        ("/docs/", ["docs/a.txt", "docs/deep/a.txt"]),
        ("./data/../docs/deep", ["docs/deep/a.txt"]),
        ("*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "docs/a.txt", "docs/deep/a.txt"]),
        ("docs/**", ["docs/a.txt", "docs/deep/a.txt"]),
        ("docs/*/a.txt", ["docs/deep/a.txt"]),
        ("?-1", ["x-1"]),
        ("x-[0-9]", ["x-1"]),
        ("x-[^0-9]", []),
        (r"\[odd\]", ["[odd]"]),
        ("[[]odd]", ["[odd]"]),
        ("data\n!data/keep", ["data/x.bin"]),
        ("!data/keep\ndata", ["data/keep/x.bin", "data/x.bin"]),
        (
            "*\n!docs\ndocs/deep",
            ["[odd]", "a.txt", "b.md", "cog.yaml", "data/keep/x.bin", "data/x.bin", "docs/deep/a.txt", "x-1"],
        ),
        (".\n..\n../a.txt", []),
        ("\ufeffa.txt\r\n  b.md  \r\n", ["a.txt", "b.md"]),
    ],
)
def test_as_docker_has_it(text, left_out):
    assert sorted(filter(parse_ignore(text), PATHS)) == left_out


def test_a_pattern_that_makes_no_sense_is_named():
    with pytest.raises(ConfigError, match=r"here, line 2: 'x\[z-a\]' is no pattern"):
        parse_ignore("a\nx[z-a]\n", where="here")


def test_a_projects_version_is_without_them_but_never_without_its_configuration(tmp_path):
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / ".dockerignore").write_text("*\n!data/keep\n")
    assert [entry.path for entry in sorted(list_entries(tmp_path))] == ["cog.yaml", "data/keep/x.bin"]
    (tmp_path / ".dockerignore").write_text("data\n**/*.txt\n")
    assert [entry.path for entry in sorted(list_entries(tmp_path))] == ["[odd]", "b.md", "cog.yaml", "x-1"]

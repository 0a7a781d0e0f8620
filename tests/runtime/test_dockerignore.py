"""What a ``.dockerignore`` leaves out."""

import pytest

from pilotlight.errors import ConfigError
from pilotlight.runtime.dockerignore import parse_dockerignore

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
    assert sorted(filter(parse_dockerignore(text), PATHS)) == left_out


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        # Two stars: any number of folders, and at the end anything.
        ("**", "a/b", True),
        ("**/", "a", True),
        ("**/**", "a/b", True),
        ("docs/**", "docs", False),
        ("docs/**", "docs/a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a**/*.txt", "a/x/y/b.txt", True),
        ("**/b/*", "a/b/c", True),
        ("**/b", "a/b/c", True),
        ("**/b", "ab", False),
        ("**/*.md", "a.md", True),
        # A literal text after leading stars is the end of the path, of whatever name.
        ("**.txt", "a.txt", True),
        ("**.txt", "a/b.txt", True),
        ("**.tx?", "a.txt", False),
        ("**file", "my-file", True),
        # One star and a question mark stay within a name.
        ("*", "a/b", True),
        ("a*/b", "a/c/b", False),
        ("a?b", "a/b", False),
        ("a?b", "a\u263ab", True),
        (".*", ".env", True),
        (".*", "env", False),
        # Characters.
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b-d]e", "aze", True),
        ("a[!b]e", "a!e", True),
        (r"[\]a]", "]", True),
        (r"[x\-]", "-", True),
        (r"[x\-]", "z", False),
        ("[a-\u03b6]*", "\u03b1", True),
        ("a]b", "a]b", True),
        # Escapes.
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        (r"a\*b", "a/b", False),
        (r"a\\", "a\\", True),
        (r"\#a", "#a", True),
        (r"\!a", "!a", True),
        # What means something in regular expressions only.
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("abc.def", "abcZdef", False),
        # Paths are cleaned: dots, double slashes, slashes at the ends.
        ("a/../b", "b", True),
        ("a/../b", "a", False),
        ("./a//b/.", "a/b", True),
        ("/a/", "a", True),
        ("//a", "a", True),
        ("/../a", "a", True),
        ("../a", "a", False),
        ("/", "a", False),
        # A folder leaves out what is in it; a name elsewhere is another.
        ("tests", "tests/deep/a.py", True),
        ("a.py", "b/a.py", False),
        # Spaces at the ends do not count, those within do; only the first character of a line makes a comment.
        ("  a.py\t ", "a.py", True),
        ("my file", "my file", True),
        ("#a", "#a", False),
        (" #a", "#a", True),
        ("a#b", "a#b", True),
        # Lines end with LF or CR LF, and with nothing else.
        ("x\r\na\r\n", "a", True),
        ("x\x0ca", "a", False),
        # A byte order mark counts at the start of the file only.
        ("\ufeff#a\nb", "b", True),
        ("\ufeffa", "a", True),
        ("x\n\ufeffa", "a", False),
        # Exceptions: the last pattern that matches decides.
        ("a\n!a/b", "a/b/c", False),
        ("a\n! a/b ", "a/b", False),
        ("!a/b\na", "a/b", True),
        ("**\n!a/b\na/b/c", "a/b/c", True),
        ("**\n!a/*.whl", "a/x.whl", False),
        ("a\n!/a/../a/b", "a/b", False),
    ],
)
def test_a_path_and_a_pattern(pattern, path, left_out):
    assert parse_dockerignore(pattern)(path) is left_out


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("!", "a path has to follow"),
        ("! ", "a path has to follow"),
        ("[", r"a '\[' starts"),
        ("a[b.py", r"a '\[' starts"),
        ("[]a]", r"a '\[' starts"),
        ("[^]", r"a '\[' starts"),
        ("[-x]", r"a '\[' starts"),
        ("[x-]", r"a '\[' starts"),
        ("[a-b-c]", r"a '\[' starts"),
        ("a\\", r"nothing follows the"),
    ],
)
def test_what_docker_refuses_is_refused(pattern, why):
    with pytest.raises(ConfigError, match=f"is no pattern: {why}"):
        parse_dockerignore(pattern)


def test_exceptions_mean_that_folders_left_out_have_to_be_read():
    assert parse_dockerignore("a\n!b").has_exceptions
    assert not parse_dockerignore("a\nb!").has_exceptions


def test_a_pattern_that_makes_no_sense_is_named():
    with pytest.raises(ConfigError, match=r"here, line 2: 'x\[z-a\]' is no pattern"):
        parse_dockerignore("a\nx[z-a]\n", where="here")

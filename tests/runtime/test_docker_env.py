"""Values of Docker's ``ENV``. The expected ones are from Docker's reference for Dockerfiles."""

import pytest

from pilotlight.runtime.docker_env import expand

VARIABLES = {"HOME": "/root", "EMPTY": ""}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain = text", "plain = text"),
        ("$HOME/.hf", "/root/.hf"),
        ("${HOME}x", "/rootx"),
        ("$HOMEx", ""),
        ("$NONE/a", "/a"),
        ("${NONE:-/d}/a", "/d/a"),
        ("${EMPTY:-$HOME}", "/root"),
        ("${HOME:-/d}", "/root"),
        ("${HOME:+yes}", "yes"),
        ("${NONE:+yes}", ""),
        (r"\$HOME", "$HOME"),
        ("'$HOME'", "$HOME"),
        ('"$HOME a"', "/root a"),
        (r'"a \"b\" \n"', r'a "b" \n'),
        (r"a\ b", "a b"),
        ("100%$", "100%$"),
        ("a$1", "a$1"),
        ("${", "${"),
    ],
)
def test_it_stands_for_what_docker_makes_of_it(value, expected):
    assert expand(value, VARIABLES) == expected

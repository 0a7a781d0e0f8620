"""The options of ``pilotlight gateway``, and the one object that they become."""

import dataclasses
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pilotlight.cli.gateway.options import settings_options
from pilotlight.config import GatewaySettings, WorkerSettings

# Not for the command line: what a gateway without a registry is for is to be opened by a program.
WITHOUT_OPTION = {"registry"}


@pytest.fixture
def parse():
    """Parse arguments, in an environment that has these variables only."""

    @click.command()
    @click.argument("projects", nargs=-1, type=click.Path(path_type=Path))
    @settings_options
    def command(settings):
        parsed.append(settings)

    parsed = []

    def parse(*args, **variables):
        environ = {"PILOTLIGHT_HOME": None, "PILOTLIGHT_TOKEN": None, "PILOTLIGHT_GATEWAY_TOKEN": None, **variables}
        result = CliRunner().invoke(command, args, env=environ, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return parsed.pop()

    return parse


def test_without_options_they_are_the_defaults(parse):
    assert parse() == GatewaySettings(home=Path("~/.pilotlight").expanduser())


def test_every_setting_has_an_option(parse):
    given = parse(
        *("a", "b", "--home", "/srv/home", "--host", "::1", "-p", "1", "--token", "t", "--rate-limit", "9/s"),
        *("--allow-private-urls", "--allow-network", "10.0.0.0/8", "--allow-network", "fd00::/8", "--max-body", "1KiB"),
        *(
            "--min-workers",
            "1",
            "--max-workers",
            "2",
            "--idle-timeout",
            "3",
            "--max-waiting",
            "4",
            "--predict-timeout",
            "90s",
        ),
        *("--setup-timeout", "5", "--grace", "6", "-e", "A=1", "--python", sys.executable),
        *("--keep", "7s", "--keep-size", "8KiB", "--no-fsync", "--trusted-proxy", "10.0.0.0/8"),
        *("--upload-quota", "9KiB", "--strict-inputs", "--public-url", "https://x"),
    )
    assert given == GatewaySettings(
        projects=(Path("a"), Path("b")),
        home=Path("/srv/home"),
        host="::1",
        port=1,
        token="t",
        rate_limit="9/s",
        allow_private_urls=True,
        allow_networks=("10.0.0.0/8", "fd00::/8"),
        trusted_proxies=("10.0.0.0/8",),
        strict_inputs=True,
        public_url="https://x",
        max_body_bytes=1024,
        upload_quota_bytes=9216,
        min_workers=1,
        max_workers=2,
        idle_timeout_s=3.0,
        max_waiting=4,
        predict_timeout_s=90.0,
        worker=WorkerSettings(Path(sys.executable), {"A": "1"}, setup_timeout_s=5.0, grace_s=6.0),
        keep_s=7.0,
        keep_bytes=8192,
        fsync=False,
    )
    defaults = GatewaySettings()
    same = {f.name for f in dataclasses.fields(given) if getattr(given, f.name) == getattr(defaults, f.name)}
    assert same == WITHOUT_OPTION


def test_options_win_over_variables_and_an_empty_token_is_none(parse):
    assert parse(PILOTLIGHT_HOME="/srv/a", PILOTLIGHT_TOKEN="v").home == Path("/srv/a")
    given = parse("--home", "/srv/b", "--token", "o", PILOTLIGHT_HOME="/srv/a", PILOTLIGHT_TOKEN="v")
    assert (given.home, given.token) == (Path("/srv/b"), "o")
    assert parse(PILOTLIGHT_TOKEN="").token is None


def test_the_new_name_of_the_token_wins_and_the_old_one_is_noted(capfd):
    @click.command()
    @click.argument("projects", nargs=-1, type=click.Path(path_type=Path))
    @settings_options
    def command(settings):
        click.echo(settings.token)

    def call(**environ):
        blank = {"PILOTLIGHT_TOKEN": None, "PILOTLIGHT_GATEWAY_TOKEN": None}
        result = CliRunner().invoke(command, [], env={**blank, **environ}, catch_exceptions=False)
        return result.stdout.strip(), "set PILOTLIGHT_GATEWAY_TOKEN here" in result.stderr

    assert call(PILOTLIGHT_TOKEN="old") == ("old", True)
    assert call(PILOTLIGHT_GATEWAY_TOKEN="new", PILOTLIGHT_TOKEN="old") == ("new", False)
    assert call() == ("", False)

"""The options of ``pilotlight gateway``, collected into one ``GatewaySettings``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from pilotlight.cli.common.durations import DURATION
from pilotlight.cli.common.options import environment_option, note_old_name, python_option, setup_timeout_option
from pilotlight.cli.common.sizes import SIZE
from pilotlight.cli.gateway.home import home_option
from pilotlight.config.serving import GatewaySettings, WorkerSettings
from pilotlight.config.variables import GATEWAY_TOKEN, TOKEN

R = TypeVar("R")

_DEFAULT = GatewaySettings()

_OPTIONS = (
    click.option("--host", default=_DEFAULT.host, show_default=True, help="The address to listen on; 0.0.0.0 for all."),
    click.option(
        "-p",
        "--port",
        type=click.IntRange(0, 65535),
        default=_DEFAULT.port,
        show_default=True,
        help="The port to listen on; 0 takes a free one.",
    ),
    click.option(
        "--token",
        envvar=[GATEWAY_TOKEN.name, TOKEN.name],
        show_envvar=True,
        callback=note_old_name(GATEWAY_TOKEN),
        help="What callers must send as Authorization: Bearer TOKEN, besides the tokens of `pilotlight token`. "
        "One or the other is required for a --host that others can reach.",
    ),
    click.option(
        "--rate-limit",
        metavar="COUNT/UNIT",
        help="Request limit of each token, such as 600/min; without tokens, of each address. Unlimited by default.",
    ),
    click.option(
        "--allow-private-urls",
        is_flag=True,
        help="Send webhooks to, and fetch inputs from, addresses that are not public, such as 127.0.0.1 or 10.0.0.7.",
    ),
    click.option(
        "--allow-network",
        "allow_networks",
        multiple=True,
        metavar="CIDR",
        help="As --allow-private-urls, but only for addresses in this network; can be repeated.",
    ),
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        multiple=True,
        metavar="CIDR",
        help="Believe the X-Forwarded-For, -Proto, -Host and -Prefix of proxies in this network, such as 127.0.0.1; "
        "can be repeated. By default nobody's.",
    ),
    click.option(
        "--keep",
        "keep_s",
        type=DURATION,
        default=_DEFAULT.keep_s,
        show_default="7d",
        help="How long inputs, outputs and logs are kept after the end of a prediction.",
    ),
    click.option(
        "--keep-size",
        "keep_bytes",
        type=SIZE,
        default=_DEFAULT.keep_bytes,
        show_default="2GiB",
        help="The size limit of the database; beyond it the oldest predictions are removed before their time.",
    ),
    home_option,
    click.option(
        "--min-workers",
        type=int,
        default=_DEFAULT.min_workers,
        show_default=True,
        help="Workers kept ready for each model.",
    ),
    click.option(
        "--max-workers",
        type=click.IntRange(min=1),
        default=_DEFAULT.max_workers,
        show_default=True,
        help="Maximum number of workers of each model.",
    ),
    click.option(
        "--idle-timeout",
        "idle_timeout_s",
        type=click.FloatRange(min=0),
        default=_DEFAULT.idle_timeout_s,
        show_default=True,
        help="Seconds without a prediction after which a worker above --min-workers is stopped.",
    ),
    click.option(
        "--predict-timeout",
        "predict_timeout_s",
        type=DURATION,
        default=_DEFAULT.predict_timeout_s,
        show_default="1h",
        help="How long a prediction may run, without its wait for a slot. Then it is cancelled and fails; a worker "
        "that does not give it up is replaced. 0s: no limit.",
    ),
    click.option(
        "--max-waiting",
        type=click.IntRange(min=1),
        default=_DEFAULT.max_waiting,
        show_default=True,
        help="Predictions of each model that may wait for a slot; further ones are answered with 429.",
    ),
    setup_timeout_option,
    click.option(
        "--grace",
        "grace_s",
        type=click.FloatRange(min=0),
        default=_DEFAULT.worker.grace_s,
        show_default=True,
        help="Seconds for running predictions after SIGTERM or Ctrl-C; a second signal cuts it short.",
    ),
    click.option(
        "--public-url",
        metavar="URL",
        help="Where callers reach the gateway, such as https://example.com/models: the beginning of every URL in an "
        "answer. With https: the files of an output are URLs too. By default what each caller used.",
    ),
    click.option(
        "--strict-inputs",
        is_flag=True,
        help="Refuse a prediction with an input that its model does not have. By default it is ignored, as on "
        "Replicate.",
    ),
    click.option(
        "--max-body",
        "max_body_bytes",
        type=SIZE,
        default=_DEFAULT.max_body_bytes,
        show_default="100MiB",
        help="Maximum size of a request.",
    ),
    click.option(
        "--upload-quota",
        "upload_quota_bytes",
        type=SIZE,
        default=_DEFAULT.upload_quota_bytes,
        show_default="10GiB",
        help="What the uploads of each token of the scope predict may take together; further ones are answered with "
        "507.",
    ),
    click.option(
        "--fsync/--no-fsync",
        default=_DEFAULT.fsync,
        show_default=True,
        help="Whether an accepted prediction survives a power failure, at the cost of waiting for the disk; "
        "it survives a crash of the gateway in any case.",
    ),
    environment_option,
    python_option,
)


def settings_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add all options to a command and pass them to it as one argument, ``settings``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        home_folder: Path,
        token: str | None,
        python: Path,
        env: Mapping[str, str],
        setup_timeout_s: float,
        grace_s: float,
        projects: tuple[Path, ...],
        **options: Any,
    ) -> R:
        worker = WorkerSettings(python=python, env=env, setup_timeout_s=setup_timeout_s, grace_s=grace_s)
        settings = GatewaySettings(
            projects=projects, home=home_folder.expanduser(), token=token or None, worker=worker, **options
        )
        return command(*args, settings=settings)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped

"""What servers are told: how they listen, whom they admit, how many workers they run and what they keep.

Defaults stand here, once; options of the command line and constructors take theirs from these objects.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotlight.config.tokens import gateway_token
from pilotlight.config.variables import GATEWAY_PORT, HOME, LOOPBACK, SERVE_HOST, SERVE_ON, SERVE_PORT


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """A Cog server as a process.

    Attributes:
        python: the interpreter whose environment has cog and what the predictor imports.
        env: variables for the predictor, on top of this process's and the project's.
        setup_timeout_s: how long ``setup()`` may take.
        grace_s: how long running predictions may go on when their server is told to stop.
    """

    python: Path = field(default_factory=lambda: Path(sys.executable))
    env: Mapping[str, str] = field(default_factory=dict)
    setup_timeout_s: float = 300.0
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """``pilotlight serve``: one Cog server in the foreground.

    Attributes:
        host: the IP address to listen on.
        port: the port to listen on.
        platform: whose contract to speak, one of ``PLATFORMS``.
        worker: the server's process.
    """

    host: str = SERVE_HOST.default
    port: int = SERVE_PORT
    platform: str = SERVE_ON.default
    worker: WorkerSettings = field(default_factory=WorkerSettings)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """A gateway: all that ``open_gateway`` has to know.

    Attributes:
        projects: folders with cog.yaml that are served from there.
        registry: whether models that were pushed to ``home`` are served too.
        home: the folder of its database, uploads and tokens, and of what was pushed.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        token: one that callers may send, besides those in ``home``.
        rate_limit: how often each caller may ask, such as ``600/min``; ``None`` for no limit.
        allow_private_urls: whether webhooks may go to, and inputs come from, addresses that are not public.
        allow_networks: the same for the addresses in these networks only.
        trusted_proxies: networks of reverse proxies whose ``X-Forwarded-*`` headers are believed.
        strict_inputs: refuse inputs that a predictor does not have; by default they are ignored, as on Replicate.
        public_url: the URL at which callers reach the gateway, in all that it answers; ``None`` for the one they used.
        max_body_bytes: the largest request.
        upload_quota_bytes: what the uploads of each token of the scope predict may take together.
        min_workers: workers kept ready for each model; 0 lets a model be idle without any.
        max_workers: workers of each model at most.
        idle_timeout_s: how long a worker above ``min_workers`` may be idle before it is stopped.
        max_waiting: predictions of each model that may wait for a slot; further ones are refused.
        predict_timeout_s: how long a prediction may run, without its wait for a slot; 0 for no limit.
        worker: every worker's process. Its ``grace_s`` is also how long the gateway drains.
        keep_s: how long inputs, outputs and logs are kept after the end of a prediction.
        keep_bytes: what the database may hold.
        fsync: whether an accepted prediction waits for the disk, so that it survives a loss of power.
    """

    projects: tuple[Path, ...] = ()
    registry: bool = True
    home: Path = HOME.default
    host: str = LOOPBACK
    port: int = GATEWAY_PORT
    token: str | None = None
    rate_limit: str | None = None
    allow_private_urls: bool = False
    allow_networks: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    strict_inputs: bool = False
    public_url: str | None = None
    max_body_bytes: int = 100 << 20
    upload_quota_bytes: int = 10 << 30
    min_workers: int = 0
    max_workers: int = 1
    idle_timeout_s: float = 300.0
    max_waiting: int = 100
    predict_timeout_s: float = 3600.0
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    keep_s: float = 7 * 86400.0
    keep_bytes: int = 2 << 30
    fsync: bool = True

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: Any) -> GatewaySettings:
        """Read ``PILOTLIGHT_HOME`` and ``PILOTLIGHT_GATEWAY_TOKEN``; fields that are ``given`` win.

        Raises:
            ConfigError: a value is not allowed.
        """
        return replace(cls(home=HOME.read(environ), token=gateway_token(environ)), **given)

"""A Ray cluster to serve on: one of this process's own, which leaves nothing behind, or one that is there already."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError, TargetUnavailableError, UsageError

__all__ = ["joined_cluster", "keep_to_loopback", "local_cluster", "ray_serve", "serve_url"]

LOOPBACK = "127.0.0.1"
# The least that Ray takes. Predictions pass through it in small pieces, or not at all.
_OBJECT_STORE_BYTES = 80 << 20
# Else Ray puts the machine's outer address in the place of this one, wherever it is told it. It reads this when it is
# imported, and keeps to the loopback by it on laptops.
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# For Ray's own deployments beside ours: it books none for its controller and its proxy.
_SPARE_CPUS = 1


def ray_serve() -> Any:
    """Ray Serve's module.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        return importlib.import_module("ray.serve")
    except ImportError as error:
        raise ConfigError(f"this needs Ray Serve ({error}): pip install 'pilotlight[ray]'") from error


def serve_url() -> str | None:
    """Where Serve listens, which on a cluster that is joined others have decided; ``None`` where it does not say."""
    client = importlib.import_module("ray.serve.context")._get_global_client()
    url: str | None = getattr(client, "root_url", None)
    return url


@contextlib.contextmanager
def local_cluster(cpus: float) -> Iterator[None]:
    """A cluster on this machine, reachable from this machine only, for as long as this context lasts.

    It has no dashboard, reports no usage, and keeps its files in a temporary folder. All of it ends with this process,
    however that ends.

    Args:
        cpus: logical processors that its deployments may book.

    Raises:
        ConfigError: the package is not installed, was imported too early, or cannot work in the temporary folder.
    """
    if "ray" in sys.modules:
        raise ConfigError("Ray was imported before its settings were made: start the cluster first")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        os.environ.update(_variables())
        ray_serve()
        ray = importlib.import_module("ray")
        try:
            _start(ray, cpus, Path(folder))
            yield
        finally:
            ray.shutdown()


def _start(ray: Any, cpus: float, folder: Path) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=int(cpus) + 1 + _SPARE_CPUS,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            logging_level=logging.WARNING,
            _node_ip_address=LOOPBACK,
            _temp_dir=str(folder / "r"),  # within one that nobody else may enter: Ray opens its own to all users
        )
    except OSError as error:
        raise ConfigError(f"Ray cannot keep its sockets in {folder}: {error}; set TMPDIR to a shorter path") from error


@contextlib.contextmanager
def joined_cluster(address: str) -> Iterator[None]:
    """A cluster that is there; it stays when this context ends.

    Args:
        address: as Ray takes it: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        ConfigError: the package is not installed.
        TargetUnavailableError: there is no cluster.
    """
    if address.rpartition("://")[2].startswith((f"{LOOPBACK}:", "localhost:")):
        os.environ.update(_LOOPBACK_ONLY)
    if "RAY_AUTH_TOKEN" in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray takes no notice of the one without the other
    ray_serve()
    ray = importlib.import_module("ray")
    try:
        ray.init(address=address, logging_level=logging.WARNING)
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise TargetUnavailableError(f"the Ray cluster at {address!r} cannot be joined: {error}", sent=False) from error
    except ValueError as error:
        raise UsageError(f"--address {address!r}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def keep_to_loopback() -> None:
    """To be called in a replica before it is ready: on a node of the loopback, it listens there alone.

    All of Ray does so by itself but for one server, over which replicas call each other, which takes every interface.
    Should Ray stop to start it like this, that is no worse than before; a test looks at what listens.
    """
    ray = importlib.import_module("ray.util")
    if ray.get_node_ip_address() != LOOPBACK:
        return
    replica = importlib.import_module("ray.serve._private.replica")
    original = getattr(replica, "add_port_to_grpc_server", None)
    if original is None or hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def add_port(server: Any, address: str) -> Any:
        return original(server, address.replace("[::]:", f"{LOOPBACK}:"))

    replica.add_port_to_grpc_server = add_port  # type: ignore[attr-defined]  # see above


def _variables() -> dict[str, str]:
    """What Ray takes from the environment only, some of it when it is imported."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        **_LOOPBACK_ONLY,
        # Not the token that Ray would make and keep in the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        # Its notice of every process that a replica starts.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        # Its own log goes to files; what the predictor prints comes here.
        "RAY_SERVE_LOG_TO_STDERR": "0",
        # A line that two replicas print is two lines, and has no colors.
        "RAY_DEDUP_LOGS": "0",
        "RAY_COLOR_PREFIX": "0",
    }

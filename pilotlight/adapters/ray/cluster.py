"""A Ray cluster to serve on: a local one that ends with this process and leaves nothing behind, or an existing one."""

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
# Ray's minimum. Predictions are passed in small messages that hardly use the object store.
_OBJECT_STORE_BYTES = 80 << 20
# Without it, Ray replaces this address by the machine's external one everywhere. Ray reads it when imported; it is
# Ray's own setting for staying on the loopback interface on laptops.
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Reserved for Ray's own deployments, although Ray reserves none for its controller and proxy.
_SPARE_CPUS = 1


def ray_serve() -> Any:
    """Return the module ``ray.serve``.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        return importlib.import_module("ray.serve")
    except ImportError as error:
        raise ConfigError(f"this needs Ray Serve ({error}): pip install 'pilotlight[ray]'") from error


def serve_url() -> str | None:
    """Return the URL that Serve listens on, which a joined cluster's owner sets; ``None`` if it is not reported."""
    client = importlib.import_module("ray.serve.context")._get_global_client()
    url: str | None = getattr(client, "root_url", None)
    return url


@contextlib.contextmanager
def local_cluster(cpus: float) -> Iterator[None]:
    """Run a cluster on this machine, reachable only from this machine, for the duration of the context.

    It has no dashboard, sends no usage report, and keeps its files in a temporary folder. All of it ends with this
    process, however the process ends.

    Args:
        cpus: logical processors that its deployments may reserve.

    Raises:
        ConfigError: the package is not installed, was imported too early, or cannot work in the temporary folder.
    """
    if "ray" in sys.modules:
        raise ConfigError("Ray was imported before its settings were set: start the cluster first")
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
            _temp_dir=str(folder / "r"),  # inside a private folder: Ray opens its own to all users
        )
    except OSError as error:
        raise ConfigError(f"Ray cannot keep its sockets in {folder}: {error}; set TMPDIR to a shorter path") from error


@contextlib.contextmanager
def joined_cluster(address: str) -> Iterator[None]:
    """Connect to an existing cluster, which continues when this context ends.

    Args:
        address: as Ray takes it: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        ConfigError: the package is not installed.
        TargetUnavailableError: the cluster cannot be reached.
    """
    if address.rpartition("://")[2].startswith((f"{LOOPBACK}:", "localhost:")):
        os.environ.update(_LOOPBACK_ONLY)
    if "RAY_AUTH_TOKEN" in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray ignores the token without this mode
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
    """Make a replica on a loopback node listen on the loopback interface only; call it before the replica is ready.

    Ray itself does so except for one server, through which replicas call each other and which listens on all
    interfaces. If a Ray version starts that server differently, this has no effect; a test checks which addresses are
    listened on.
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
    """Return the environment variables for Ray settings that have no argument; Ray reads some when it is imported."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        **_LOOPBACK_ONLY,
        # Not the token that Ray would create and keep in the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        # Disables gRPC's message about every process that a replica starts.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        # A proxy that a busy machine starts slowly is killed after 5 s by default, and the command fails with it.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": os.environ.get("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60"),
        # Ray's own log goes to files; the predictor's output is printed.
        "RAY_SERVE_LOG_TO_STDERR": "0",
        # Keep identical lines of two replicas separate and without colors.
        "RAY_DEDUP_LOGS": "0",
        "RAY_COLOR_PREFIX": "0",
    }

"""Settings of a Ray Serve application, and the options of its deployments that follow from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pilotlight.config.serving import WorkerSettings
from pilotlight.errors import ConfigError

__all__ = ["RaySettings", "front_options", "read_settings", "replica_options"]

_WORKER = WorkerSettings()
# Maximum concurrent requests of a front. It only waits, checks and forwards, so processor time is its actual limit.
_FRONT_ONGOING = 4096
_FRONT_CPUS = 0.1
# Extra seconds for Ray to end a replica cleanly: closing the Cog server and one more check that it is idle.
_CLOSING_S = 5.0
_DRAIN_LOOK_S = 0.2
# Back-off of a front's checks for a free slot while all are taken. Ray's default of half a second would leave slots
# idle for longer than short predictions take. This costs a few hundred messages per second while predictions wait.
_LOOKS = {"initial_backoff_s": 0.01, "backoff_multiplier": 2, "max_backoff_s": 0.05}
# A failed setup is tried once more, perhaps on another node; then Ray reports its error.
_CONSTRUCTIONS = 2


class RaySettings(BaseModel):
    """Settings of an application; as keywords, or as arguments of ``serve run`` and of Serve's configuration file.

    Attributes:
        project: folder with cog.yaml, on every node.
        min_replicas: minimum number of replicas; with 0, an idle application scales to zero and starts cold.
        max_replicas: maximum number of replicas.
        cpus: logical processors that Ray reserves per replica; they are not enforced.
        gpus: GPUs per replica; with 0, Ray hides all GPUs.
        fronts: number of HTTP processes; one forwards a few thousand chunks per second.
        max_waiting: maximum number of predictions waiting for a slot at each front; further ones are refused.
        env: environment variables of the predictor.
        python: interpreter of the environment with cog and the predictor's packages; by default the one that runs Ray.
        setup_timeout_s: limit of ``setup()`` in seconds.
        grace_s: seconds that running predictions may take to finish when a replica ends.
        strict_inputs: refuse inputs that the predictor does not have; by default they are ignored.
        health_period_s: seconds between Ray's health checks; after three failures in a row Ray starts another replica.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Path
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    cpus: float = Field(default=0.5, ge=0)
    gpus: float = Field(default=0, ge=0)
    fronts: int = Field(default=1, ge=1)
    max_waiting: int = Field(default=1024, ge=0)
    env: dict[str, str] = Field(default_factory=dict)
    python: Path | None = None
    setup_timeout_s: float = Field(default=_WORKER.setup_timeout_s, gt=0)
    grace_s: float = Field(default=_WORKER.grace_s, ge=0)
    strict_inputs: bool = False
    health_period_s: float = Field(default=5, gt=0)

    @model_validator(mode="after")
    def _check_order(self) -> RaySettings:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas is {self.min_replicas}, more than max_replicas, {self.max_replicas}")
        return self

    @property
    def total_cpus(self) -> float:
        """Logical processors of all deployments at their maximum size."""
        return self.max_replicas * self.cpus + self.fronts * _FRONT_CPUS


def read_settings(given: RaySettings | Mapping[str, Any]) -> RaySettings:
    """Return validated settings.

    Raises:
        ConfigError: a setting is invalid or unknown.
    """
    if isinstance(given, RaySettings):
        return given
    try:
        return RaySettings.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'replicas'}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"settings of the Ray application: {problems}") from error


def replica_options(settings: RaySettings, slots: int) -> dict[str, Any]:
    scale: dict[str, Any] = {"num_replicas": settings.min_replicas}
    if settings.min_replicas < settings.max_replicas:
        scale = {
            "autoscaling_config": {
                "min_replicas": settings.min_replicas,
                "max_replicas": settings.max_replicas,
                "target_ongoing_requests": slots,
            }
        }
    return {
        **scale,
        "name": "Replica",
        "ray_actor_options": {"num_cpus": settings.cpus, "num_gpus": settings.gpus},
        "max_ongoing_requests": slots,
        "max_queued_requests": settings.max_waiting,
        "max_constructor_retry_count": _CONSTRUCTIONS,
        "request_router_config": _LOOKS,
        **_common_options(settings),
    }


def front_options(settings: RaySettings) -> dict[str, Any]:
    return {
        "num_replicas": settings.fronts,
        "ray_actor_options": {"num_cpus": _FRONT_CPUS},
        "max_ongoing_requests": _FRONT_ONGOING,
        **_common_options(settings),
    }


def _common_options(settings: RaySettings) -> dict[str, Any]:
    return {
        "graceful_shutdown_timeout_s": settings.grace_s + _CLOSING_S,
        "graceful_shutdown_wait_loop_s": _DRAIN_LOOK_S,
        "health_check_period_s": settings.health_period_s,
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
    }

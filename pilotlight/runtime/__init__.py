"""Runs any Cog project under the real Cog server, without Docker.

project = Project.load("path/to/project")
async with LocalQueue(lambda: Worker(project)) as queue:
    async for event in queue.stream({"prompt": "def main("}):
        ...
"""

from pilotlight.runtime.events import Completed, Event, Feed, Log, Metric, Output, Started, raise_for_status
from pilotlight.runtime.fake import FakeWorker
from pilotlight.runtime.health import Health, HealthStatus
from pilotlight.runtime.http.request import new_prediction_id
from pilotlight.runtime.keeper import Keeper
from pilotlight.runtime.keeper_options import KeeperOptions, KeeperState, KeeperStatus
from pilotlight.runtime.project import Project
from pilotlight.runtime.queue import LocalQueue
from pilotlight.runtime.restarts import RestartPolicy
from pilotlight.runtime.schema.schema_file import ensure_schema, schema_for
from pilotlight.runtime.server.cog_server import ServerOptions
from pilotlight.runtime.server.server_log import LogLine
from pilotlight.runtime.worker import Worker, WorkerLike

__all__ = [
    "Completed",
    "Event",
    "FakeWorker",
    "Feed",
    "Health",
    "HealthStatus",
    "Keeper",
    "KeeperOptions",
    "KeeperState",
    "KeeperStatus",
    "LocalQueue",
    "Log",
    "LogLine",
    "Metric",
    "Output",
    "Project",
    "RestartPolicy",
    "ServerOptions",
    "Started",
    "Worker",
    "WorkerLike",
    "ensure_schema",
    "new_prediction_id",
    "raise_for_status",
    "schema_for",
]

"""Runs any Cog project under the real Cog server, without Docker.

project = Project.load("path/to/project")
async with Supervisor(lambda: Worker(project)) as supervisor:
    async for event in supervisor.stream({"prompt": "def main("}):
        ...
"""

from pilotlight.runtime.events import Completed, Event, Log, Metric, Output, Started, raise_for_status
from pilotlight.runtime.fake import FakeWorker
from pilotlight.runtime.health import Health, HealthStatus
from pilotlight.runtime.http.request import new_prediction_id
from pilotlight.runtime.project import Project
from pilotlight.runtime.restarts import RestartPolicy
from pilotlight.runtime.schema.schema_file import ensure_schema, schema_for
from pilotlight.runtime.server.cog_server import ServerOptions
from pilotlight.runtime.server.server_log import LogLine
from pilotlight.runtime.supervision import State, SupervisorOptions, SupervisorStatus, WorkerLike
from pilotlight.runtime.supervisor import Supervisor
from pilotlight.runtime.worker import Worker

__all__ = [
    "Completed",
    "Event",
    "FakeWorker",
    "Health",
    "HealthStatus",
    "Log",
    "LogLine",
    "Metric",
    "Output",
    "Project",
    "RestartPolicy",
    "ServerOptions",
    "Started",
    "State",
    "Supervisor",
    "SupervisorOptions",
    "SupervisorStatus",
    "Worker",
    "WorkerLike",
    "ensure_schema",
    "new_prediction_id",
    "raise_for_status",
    "schema_for",
]

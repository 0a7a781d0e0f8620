"""One client for every target: Replicate, RunPod, a gateway, a Cog server, a project of this machine.

from pilotlight.client import Client
with Client("project:.") as client:
    result = client.run({"prompt": "def main("})
"""

from pilotlight.client.connection import Connection, Job, TargetState, Timeouts
from pilotlight.client.core import AsyncClient
from pilotlight.client.handle import Handle
from pilotlight.client.http import Retry
from pilotlight.client.results import Result, Timing
from pilotlight.client.split import AsyncSplitClient
from pilotlight.client.sync import Client, SplitClient, SyncHandle
from pilotlight.client.targets.names import Target, parse_target
from pilotlight.client.webhooks import verify_webhook

__all__ = [
    "AsyncClient",
    "AsyncSplitClient",
    "Client",
    "Connection",
    "Handle",
    "Job",
    "Result",
    "Retry",
    "SplitClient",
    "SyncHandle",
    "Target",
    "TargetState",
    "Timeouts",
    "Timing",
    "parse_target",
    "verify_webhook",
]

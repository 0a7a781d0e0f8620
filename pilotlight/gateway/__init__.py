"""Replicate's HTTP API on your own machine, for any Cog project, with the real Cog server as its workers.

async with open_gateway(GatewaySettings(projects=(Path("path/to/project"),))) as opened:
    print(opened.url)
    ...
"""

from pilotlight.config.serving import GatewaySettings
from pilotlight.gateway.api.context import BackgroundServices
from pilotlight.gateway.api.rate_limit import Rate
from pilotlight.gateway.api.security import LOOPBACK_NAMES
from pilotlight.gateway.api.tokens import Scope, Tokens
from pilotlight.gateway.app import create_app
from pilotlight.gateway.clock import steady_clock
from pilotlight.gateway.egress.addresses import EgressPolicy
from pilotlight.gateway.egress.client import EgressClient
from pilotlight.gateway.egress.inputs import Inputs
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.versions import Version, has_changed, load_version
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.gateway import ClosingError, Gateway
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.serve import OpenGateway, open_gateway, run
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.retention import RetentionPolicy
from pilotlight.gateway.storage.store import Store
from pilotlight.runtime.http.listening import is_loopback, listen, serving, url_of

__all__ = [
    "LOOPBACK_NAMES",
    "BackgroundServices",
    "ClosingError",
    "EgressClient",
    "EgressPolicy",
    "Files",
    "Gateway",
    "GatewaySettings",
    "Inputs",
    "Limits",
    "LogBuffer",
    "OpenGateway",
    "Rate",
    "Registry",
    "RetentionPolicy",
    "Scope",
    "Store",
    "Tokens",
    "Version",
    "create_app",
    "has_changed",
    "is_loopback",
    "listen",
    "load_version",
    "open_gateway",
    "run",
    "serving",
    "steady_clock",
    "url_of",
]

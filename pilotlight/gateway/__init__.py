"""Replicate's HTTP API on your own machine, for any Cog project, with the real Cog server as its workers.

version = load_version(Path("path/to/project"), created_at=time.time())
async with (
    Store(Path("gateway.sqlite3")) as store,
    Outward(Reach()) as outward,
    Gateway([version], store) as gateway,
    Extras(gateway, files := Files(Path("files"), store, gateway.clock), outward) as extras,
    serving(create_app(gateway, files, extras), listen("127.0.0.1", 8394)),
):
    ...
"""

from pilotlight.gateway.addresses import Reach
from pilotlight.gateway.app import create_app
from pilotlight.gateway.clock import steady_clock
from pilotlight.gateway.extras import Extras
from pilotlight.gateway.fetching import Inputs
from pilotlight.gateway.files import Files
from pilotlight.gateway.gateway import ClosingError, Gateway
from pilotlight.gateway.guard import LOOPBACK_NAMES
from pilotlight.gateway.journal import Journal
from pilotlight.gateway.outward import Outward
from pilotlight.gateway.rates import Rate
from pilotlight.gateway.registry import Registry
from pilotlight.gateway.retention import Keep
from pilotlight.gateway.running import run
from pilotlight.gateway.scaling import Limits
from pilotlight.gateway.store import Store
from pilotlight.gateway.tokens import Scope, Tokens
from pilotlight.gateway.versions import Version, has_changed, load_version
from pilotlight.runtime.listening import is_loopback, listen, serving, url_of

__all__ = [
    "LOOPBACK_NAMES",
    "ClosingError",
    "Extras",
    "Files",
    "Gateway",
    "Inputs",
    "Journal",
    "Keep",
    "Limits",
    "Outward",
    "Rate",
    "Reach",
    "Registry",
    "Scope",
    "Store",
    "Tokens",
    "Version",
    "create_app",
    "has_changed",
    "is_loopback",
    "listen",
    "load_version",
    "run",
    "serving",
    "steady_clock",
    "url_of",
]

"""Replicate's HTTP API on your own machine, for any Cog project, with the real Cog server as its workers.

version = load_version(Path("path/to/project"), created_at=time.time())
async with Store(Path("gateway.sqlite3")) as store, Gateway([version], store) as gateway:
    files = Files(Path("files"), store, gateway.clock)
    async with serving(create_app(gateway, files), listen("127.0.0.1", 8394)):
        ...
"""

from pilotlight.gateway.app import create_app
from pilotlight.gateway.files import Files
from pilotlight.gateway.gateway import ClosingError, Gateway
from pilotlight.gateway.guard import LOOPBACK_NAMES
from pilotlight.gateway.scaling import Limits
from pilotlight.gateway.server import is_loopback, listen, serving, url_of
from pilotlight.gateway.store import Store
from pilotlight.gateway.versions import Version, has_changed, load_version

__all__ = [
    "LOOPBACK_NAMES",
    "ClosingError",
    "Files",
    "Gateway",
    "Limits",
    "Store",
    "Version",
    "create_app",
    "has_changed",
    "is_loopback",
    "listen",
    "load_version",
    "serving",
    "url_of",
]

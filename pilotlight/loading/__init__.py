"""Finding, fetching, verifying and exporting model folders.

``find_model`` and ``check_loadable`` run at cold start and import only the standard library; everything that
downloads (``fetch``) or reads every byte (``verify``) is imported from its own module by whoever needs it.
"""

from pilotlight.loading.files.loadable import check_loadable
from pilotlight.loading.locate import find_model

__all__ = ["check_loadable", "find_model"]

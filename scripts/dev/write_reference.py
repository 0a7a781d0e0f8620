#!/usr/bin/env python
"""Write docs/reference/ from the code: commands, inputs, errors, doctor's rules, settings, HTTP routes,
architectures, licences.

With --check nothing is written; the exit status is 1 where a page differs from the code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from pilotlight.config import settings_reference
from pilotlight.gateway.reference import http_reference
from scripts.dev.reference_architectures import architectures_page
from scripts.dev.reference_cli import cli_page
from scripts.dev.reference_errors import errors_page
from scripts.dev.reference_licenses import licenses_page
from scripts.dev.reference_rules import rules_page
from scripts.dev.reference_schemas import inputs_page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "inputs.md": inputs_page,
    "errors.md": errors_page,
    "doctor-rules.md": rules_page,
    "settings.md": settings_reference,
    "http.md": http_reference,
    "architectures.md": architectures_page,
    "licenses.md": licenses_page,
}


def stale_pages() -> list[str]:
    """The names of the pages whose text is not what the code gives now."""
    return [name for name, page in PAGES.items() if _read(FOLDER / name) != page()]


def write_pages() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def main() -> int:
    """Write the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page is stale")
    if not parser.parse_args().check:
        write_pages()
        return 0
    stale = stale_pages()
    for name in stale:
        print(f"docs/reference/{name} is stale: run scripts/dev/write_reference.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

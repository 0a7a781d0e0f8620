#!/usr/bin/env python
"""Do other people's clients work against what is served here, unmodified?

Starts a gateway with projects from tests/cog, installs the npm package `replicate` (needs node and npm) and release 2
of the Python package `replicate` each into a folder of its own, and has scripts/checks/clients do with them what
programs do: run, stream, wait, cancel, list, deployments, files. Then the same with Google's client of Vertex AI,
which asks a project served with `pilotlight serve --on vertex`. Exit status 1 when something does not work. Nothing
that is installed stays, unless --keep says where. (Release 1 of the Python package `replicate` has
tests/cog/test_gateway_live.py; RunPod's and AWS's clients have tests/adapters.)

    python scripts/checks/check_clients.py
    python scripts/checks/check_clients.py --only npm --keep .cache/clients
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "scripts" / "checks" / "clients"
PROJECTS = [ROOT / "tests" / "cog" / "projects" / name for name in ("run_text", "run_values", "run_files")]
NPM_PACKAGE = "replicate@1.4.0"
PYTHON_PACKAGE = "replicate==2.0.0b4"
VERTEX_PACKAGE = "google-cloud-aiplatform==2.7.0"
# What the real service passes on to a container's one route, the client asks for here.
VERTEX_ROUTE = "/v1/projects/p/locations/l/endpoints/1:predict"


def npm(folder: Path) -> list[str]:
    """The command for its checks; what it needs is in ``folder`` then."""
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        install(["npm", "install", "--silent", "--no-audit", "--no-fund", NPM_PACKAGE], folder)
    return ["node", str(CLIENTS / "npm.mjs"), str(folder)]


def replicate2(folder: Path) -> list[str]:
    """As ``npm``."""
    return python_client(folder, PYTHON_PACKAGE, "replicate2.py")


def vertex(folder: Path) -> list[str]:
    """As ``npm``."""
    return python_client(folder, VERTEX_PACKAGE, "vertex.py")


def python_client(folder: Path, package: str, program: str) -> list[str]:
    """As ``npm``, for a Python package in an environment of its own."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        install([str(python), "-m", "pip", "install", "--quiet", package], folder)
    return [str(python), str(CLIENTS / program)]


CHECKS: dict[str, Callable[[Path], list[str]]] = {"npm": npm, "replicate2": replicate2, "vertex": vertex}


def install(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not installed: install it, or leave this client out with --only")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command)} failed:\n{error.stderr}")


@contextlib.contextmanager
def gateway(home: Path) -> Iterator[str]:
    """Its URL, while it runs."""
    command = ["gateway", "--port", "0", "--home", str(home), *map(str, PROJECTS)]
    with served(command, r"Listening at (\S+)", home.parent / "gateway.log") as url:
        yield url


@contextlib.contextmanager
def vertex_container(home: Path) -> Iterator[str]:
    """As ``gateway``."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables = {"AIP_HTTP_PORT": str(port), "AIP_PREDICT_ROUTE": VERTEX_ROUTE}
    command = ["serve", "--on", "vertex", "--project", str(PROJECTS[0])]
    with served(command, r".* container at (\S+)", home.parent / "vertex.log", **variables) as url:
        yield url


SERVERS = {"npm": gateway, "replicate2": gateway, "vertex": vertex_container}


@contextlib.contextmanager
def served(arguments: list[str], announced: str, log: Path, **variables: str) -> Iterator[str]:
    """The URL that ``pilotlight ARGUMENTS`` announces, while it runs."""
    command = [sys.executable, "-c", "from pilotlight.cli import main; main()", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with log.open("w") as output, subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if match := re.match(announced, line):
                    # What it says from here on must not fill a pipe that nobody reads.
                    reader = subprocess.Popen(["cat"], stdin=process.stderr, stdout=output)
                    yield match[1]
                    process.terminate()
                    process.wait()
                    reader.wait()
                    return
                output.write(line)
                output.flush()
            sys.exit(f"pilotlight {arguments[0]} did not start:\n{log.read_text()}")
        finally:
            process.kill()


def check(name: str, folder: Path, url: str) -> bool:
    """Whether all checks of one client have passed; shows each."""
    command = [*CHECKS[name](folder), url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    for line in lines:
        print(f"{name}: {line}")
    passed = result.returncode == 0 and bool(lines) and all(line.startswith("ok ") for line in lines)
    if result.returncode != 0:
        print(f"{name}: ended with status {result.returncode}: {result.stderr}")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CHECKS, help="one client; all by default")
    parser.add_argument("--keep", type=Path, help="a folder for what is installed, which is used again the next time")
    parser.add_argument("--url", help="where that runs already; it is started by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        passed = []
        for server in dict.fromkeys(SERVERS.values()):
            names = [name for name in CHECKS if given.only in (None, name) and SERVERS[name] is server]
            if names:
                home = Path(temporary) / "home"
                with server(home) if given.url is None else contextlib.nullcontext(given.url) as url:
                    passed += [check(name, folder / name, url) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

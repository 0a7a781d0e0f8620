#!/usr/bin/env python
"""Sends random requests to a gateway for as long as you like, and reports what its /openapi.json does not describe.

    scripts/checks/fuzz_gateway.py
    scripts/checks/fuzz_gateway.py --examples 500 --project path/to/project

It starts `pilotlight gateway` with a home of its own, and leaves nothing behind. tests/gateway/api/test_openapi.py does
the same with few requests and workers that are fakes. Needs what scripts/test installs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    """The exit status: 0 when everything was answered as described."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=ROOT / "tests/cog/projects/run_text", help="a Cog project")
    parser.add_argument("--examples", type=int, default=100, help="random requests for each route (100)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests (1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        # Names that are there: of random ones hardly any request would get beyond 404.
        config = Path(home, "schemathesis.toml")
        config.write_text(f'[parameters]\n"path.owner" = "local"\n"path.name" = "{options.project.name}"\n')
        command = [sys.executable, "-c", "from pilotlight.cli import main; main()", "gateway", "--port", "0"]
        gateway = subprocess.Popen(
            [*command, "--home", home, options.project.resolve()], stderr=subprocess.PIPE, text=True
        )
        try:
            url = address(gateway)
            command = fuzzer(url, config, options.examples, options.seed)
            return subprocess.run(command, cwd=home, check=False).returncode
        finally:
            gateway.terminate()
            print(gateway.communicate(timeout=60)[1], file=sys.stderr)


def address(gateway: subprocess.Popen[str]) -> str:
    """Where it listens."""
    assert gateway.stderr is not None
    for line in gateway.stderr:
        print(line, end="", file=sys.stderr)
        if match := re.match("Listening at (.*)\n", line):
            return match[1]
    raise SystemExit("the gateway did not start")


def fuzzer(url: str, config: Path, examples: int, seed: int) -> list[str]:
    """The command that sends the requests; the header is what uploads need."""
    return [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{url}/openapi.json"),
        *("--checks", CHECKS, "--max-examples", str(examples), "--seed", str(seed)),
        *("--header", "Authorization: Bearer any", "--request-timeout", "60", "--phases", "examples,coverage,fuzzing"),
    ]


if __name__ == "__main__":
    sys.exit(main())

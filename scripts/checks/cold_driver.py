#!/usr/bin/env python
"""Start a Cog server, wait until it is ready, run one prediction, kill it: a cold start for another program to time.

    cd PROJECT && PORT=5101 COG_PREDICT_TYPE_STUB=predict.py:Predictor python path/to/cold_driver.py --input '{}'

Shares nothing with pilotlight, so that scripts/checks/agree_cold.py can check one against the other: only Python's
standard library, and as little of that as will do.  With --nothing it starts no server and ends: what it costs itself.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading

POLL_S = 0.02
FAILED = {"SETUP_FAILED", "DEFUNCT", "UNHEALTHY"}


def ask(method: str, path: str, body: str | None = None) -> dict[str, object] | None:
    """The server's answer; ``None`` when nothing answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]))
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer: dict[str, object] = json.loads(connection.getresponse().read())
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer


def run(inputs: str, limit_s: float) -> str | None:
    """One cold start; what went wrong, or ``None``."""
    server = subprocess.Popen(
        ["python", "-m", "cog.server.http", "--host", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        pause = threading.Event()
        for _ in range(int(limit_s / POLL_S)):
            status = (ask("GET", "/health-check") or {}).get("status")
            if status == "READY":
                break
            if status in FAILED or server.poll() is not None:
                return f"the server did not become ready: {status or 'it ended'}"
            pause.wait(POLL_S)
        else:
            return f"the server was not ready after {limit_s:g} s"
        prediction = ask("POST", "/predictions", json.dumps({"input": json.loads(inputs)})) or {}
        if prediction.get("status") != "succeeded":
            return f"the prediction did not succeed: {prediction.get('error') or prediction}"
        return None
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", default="{}", help="of the prediction, as JSON")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for the server to become ready")
    parser.add_argument("--nothing", action="store_true", help="start no server")
    args = parser.parse_args()
    if not args.nothing:
        sys.exit(run(args.input, args.limit))


if __name__ == "__main__":
    main()

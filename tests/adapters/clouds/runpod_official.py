"""What programs do with RunPod's own client, as a process: it reads where the API is when it is imported.

``RUNPOD_ENDPOINT_BASE_URL=... python runpod_official.py STORY``; what it finds is one line of JSON each.
"""

import asyncio
import json
import sys

import runpod
from runpod.http_client import AsyncClientSession

ENDPOINT = "ep1"


def found(name, value):
    print(json.dumps({name: value}), flush=True)


def one_after_the_other():
    """Against a project with one slot: a job that did not end would keep the next one waiting for minutes."""
    endpoint = runpod.Endpoint(ENDPOINT)
    job = endpoint.run({"prompt": "a\u2028é", "count": 2})
    found("run", [job.output(timeout=120), job.status()])
    found("run_sync", endpoint.run_sync({"prompt": "b", "count": 2}, timeout=120))
    found("stream", list(endpoint.run({"prompt": "c", "count": 3}).stream()))

    job = endpoint.run({"prompt": "d", "count": 1000, "pause_s": 0.1})
    first = next(job.stream())
    job.cancel()
    found("cancel", [first, job.status()])

    job = endpoint.run({"prompt": "e", "mode": "raise", "count": 1})
    found("failure", [list(job.stream()), job.status()])
    found("refusal", endpoint.run_sync({"prompt": "f", "count": -1}, timeout=120))

    # Its worker is told to end while this one runs.
    job = endpoint.run({"prompt": "g", "count": 20, "pause_s": 0.1})
    found("last", job.output(timeout=120))


async def two_at_once():
    """Against a project with several slots; both jobs end only if they run together."""
    async with AsyncClientSession() as session:
        endpoint = runpod.AsyncioEndpoint(ENDPOINT, session)
        jobs = [await endpoint.run({"wait_for": 2}) for _ in range(2)]
        found("outputs", await asyncio.gather(*(job.output(timeout=120) for job in jobs)))


if __name__ == "__main__":
    runpod.api_key = "key"
    if sys.argv[1] == "one":
        one_after_the_other()
    else:
        asyncio.run(two_at_once())

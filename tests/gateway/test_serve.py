"""The process of a gateway."""

import subprocess
import sys

PROGRAM = """
import asyncio, gc
from pilotlight.gateway import run

async def main():
    return type(asyncio.get_running_loop()).__module__, gc.get_threshold()[0], gc.get_freeze_count() > 0

print(*run(main()))
"""


def test_it_has_a_fast_loop_and_looks_rarely_for_garbage():
    # In a process of its own: what is set there stays.
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    loop, threshold, frozen = done.stdout.split()
    assert loop.startswith("uvloop")
    assert int(threshold) > 700
    assert frozen == "True"

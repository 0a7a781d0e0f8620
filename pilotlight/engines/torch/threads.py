"""Which thread gets torch's worker threads on a CPU."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["single_threaded"]


@contextmanager
def single_threaded() -> Generator[int]:
    """Make this thread compute without worker threads in the block; yield how many threads it had.

    OpenMP gives every thread that computes a team of worker threads, permanently. With a second team there are more
    threads than processors, and OpenMP then puts all of them to sleep after every operation: on two cores a step of a
    small model took 55 ms instead of 36. Therefore the thread that loads a model computes alone, and the thread that
    runs it is the first one with a team.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)

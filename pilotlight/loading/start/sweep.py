"""A program that has the system read pieces of files: lines of ``offset size path`` on stdin, bytes.

A process of its own, which imports nothing: as a thread of the process that starts it would wait for the interpreter
lock hundreds of times, and be no faster than the reads that it is to spare.
"""

import os
import sys

# A system takes no advice beyond its read-ahead window, and this is the usual one.
PIECE_BYTES = 128 * 1024


def main() -> None:
    opened = -1
    name = b""
    for line in sys.stdin.buffer:
        offset, size, path = line.rstrip(b"\n").split(b" ", 2)
        if path != name:
            if opened >= 0:
                os.close(opened)
            name, opened = path, _open(path)
        if opened >= 0:
            start, end = int(offset), int(offset) + int(size)
            for piece in range(start, end, PIECE_BYTES):
                os.posix_fadvise(opened, piece, min(PIECE_BYTES, end - piece), os.POSIX_FADV_WILLNEED)


def _open(path: bytes) -> int:
    """-1 where it is not there: an image with other packages lacks some."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return -1


if __name__ == "__main__":
    main()

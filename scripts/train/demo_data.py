#!/usr/bin/env python
"""The demo model's data: the source of the running interpreter's standard library, and which of it is held out.

Whole files are held out by a hash of their path, so the split is the same on every machine with the same Python.  The
files are under the Python Software Foundation License.

    python scripts/train/demo_data.py               # how much there is
    python scripts/train/demo_data.py --held-out    # the paths of the files that training never sees
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import lzma
import sysconfig
from pathlib import Path

HELD_OUT_SHARE = 25  # one file in so many
MAX_FILE_BYTES = 250_000  # larger ones are tables and topic texts
SKIPPED = ("site-packages/", "pydoc_data/", "encodings/", "lib2to3/tests/data/", "test/encoded_modules/", "__phello__")


def stdlib_files() -> tuple[list[Path], list[Path]]:
    """The standard library's source as (train, held out), in a stable order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    train: list[Path] = []
    held_out: list[Path] = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.startswith(SKIPPED) or "/bad" in name or not 0 < path.stat().st_size <= MAX_FILE_BYTES:
            continue
        digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        (held_out if digest % HELD_OUT_SHARE == 0 else train).append(path)
    return train, held_out


def read_source(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")


def top_level_definitions(source: str) -> list[str]:
    """The functions and classes at module level, each with its decorators; nothing for a file that does not parse."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    lines = source.splitlines(keepends=True)
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.append("".join(lines[first - 1 : node.end_lineno]))
    return found


def xz_bits_per_byte(texts: list[str]) -> float:
    blob = "".join(texts).encode()
    return 8 * len(lzma.compress(blob, preset=9)) / len(blob)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true", help="list the files that are held out")
    args = parser.parse_args()
    train, held_out = stdlib_files()
    if args.held_out:
        print(*held_out, sep="\n")
        return
    for name, paths in (("to train on", train), ("held out", held_out)):
        print(f"{name}: {len(paths):,} files, {sum(path.stat().st_size for path in paths) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""The demo classifier's data: the functions of the standard library on this machine, by area, and which are held out.

Whole files are held out by a hash of their path, so the split is the same on every machine with the same Python.  The
files are under the Python Software Foundation License.

    python scripts/train/classifier_data.py               # how many there are of each area
    python scripts/train/classifier_data.py --show numbers    # a held-out function of that area
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.train.demo_data import read_source, stdlib_files

MAX_CHARS = 2000  # of a function; what a model reads of it is shorter
MIN_LINES = 3
# One file in six; of the six ways to choose them the one that leaves most of every area to measure on.
HELD_OUT = (6, 3)

# Modules by area; "test_" before a name and "test/" before a path do not count.
AREAS = {
    "asyncio": "asyncio selectors coroutines asyncgen",
    "dates and times": "datetime datetimetester calendar zoneinfo time _strptime",
    "email": "email mailbox mimetypes quopri base64 smtpd",
    "files and archives": "tarfile zipfile shutil pathlib os tempfile glob gzip bz2 lzma posixpath ntpath fileinput",
    "graphics": "tkinter idlelib turtle turtledemo curses",
    "imports and source code": "importlib ast dis inspect tokenize lib2to3 compileall symtable zipimport pkgutil",
    "markup and data": "xml xml_etree minidom sax html json csv plistlib configparser htmlparser pyexpat",
    "network": "http urllib urllib2 urlparse httplib httpservers socket ssl ftplib smtplib imaplib poplib nntplib "
    "telnetlib socketserver xmlrpc xmlrpclib wsgiref http_cookiejar http_cookies robotparser",
    "numbers": "decimal _pydecimal fractions statistics random math cmath numbers float long complex int",
    "testing and debugging": "unittest doctest pdb bdb traceback trace faulthandler cgitb regrtest libregrtest",
    "text": "re string textwrap difflib codecs encodings unicode fstring string_tests sre_parse gettext locale",
    "threads and processes": "multiprocessing _test_multiprocessing threading _threading_local queue subprocess "
    "concurrent concurrent_futures thread sched",
}
AREA_OF = {module: area for area, modules in AREAS.items() for module in modules.split()}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A function's source, and its area as an index into ``AREAS``."""

    text: str
    area: int


def area_of(name: str) -> str | None:
    """The area of a file, by its path within the standard library; ``None`` for one that is in no area."""
    parts = name.removesuffix(".py").split("/")
    if parts[0] == "test" and len(parts) > 1:
        parts = parts[1:]
    return AREA_OF.get(parts[0]) or AREA_OF.get(re.sub(r"^test_?", "", parts[0]))


def functions(source: str) -> list[str]:
    """The functions and methods in a file, dedented; nothing for a file that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    lines = source.splitlines(keepends=True)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            mine = lines[node.lineno - 1 : node.end_lineno]
            if len(mine) >= MIN_LINES:
                found.append(textwrap.dedent("".join(mine))[:MAX_CHARS])
    return found


def snippets() -> tuple[list[Snippet], list[Snippet]]:
    """(to train on, held out), each text once, in a stable order."""
    names, seen = list(AREAS), set()
    split: tuple[list[Snippet], list[Snippet]] = ([], [])
    stdlib = Path(json.__file__).parent.parent
    for path in sorted(file for files in stdlib_files() for file in files):
        name = path.relative_to(stdlib).as_posix()
        area = area_of(name)
        digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        for text in functions(read_source(path)) if area else []:
            if text not in seen:
                seen.add(text)
                split[digest % HELD_OUT[0] == HELD_OUT[1]].append(Snippet(text, names.index(str(area))))
    return split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", choices=AREAS, metavar="AREA", help="print one held-out function of this area")
    args = parser.parse_args()
    learn, held_out = snippets()
    if args.show:
        print(next(one.text for one in held_out if one.area == list(AREAS).index(args.show)), end="")
        return
    counts = [Counter(one.area for one in half) for half in (learn, held_out)]
    for i, area in enumerate(AREAS):
        print(f"{area}: {counts[0][i]} to train on, {counts[1][i]} held out")


if __name__ == "__main__":
    main()

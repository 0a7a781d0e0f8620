"""Reads a predictor's signature: this folder is run by the project's own Python, in the project's folder.

    python .../probe RESULT_FILE predict.py:Predictor [train.py:train]

It needs nothing but cog. What it finds goes to RESULT_FILE as JSON (``Findings`` or ``Failure`` of ``signature.py``),
so that nothing which the user's module prints gets in between. The module is imported as in Cog's own worker, which
runs ``python -c``: without arguments to parse, and without a ``__main__`` that is a file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pathlib
import sys


def main() -> None:
    result, predict, *train = sys.argv[1:]
    sys.argv[:] = ["-c"]
    vars(sys.modules["__main__"]).pop("__file__", None)
    try:
        importlib.import_module("cog._inspector")
        examiner = importlib.import_module("probe_examiner")
    except ImportError as error:
        report = {"kind": "cog", "ref": predict, "message": str(error), "where": "", "trace": ""}
    else:
        root = os.path.realpath(pathlib.Path.cwd())
        sys.path[0] = root  # where coglet finds the user's modules; this folder must not shadow them
        report = examiner.examine(predict, train[0] if train else None, root)
    pathlib.Path(result).write_text(json.dumps(report), encoding="utf-8")
    _end()


def _end() -> None:
    """End Python at once: its usual end joins the threads and children that the user's module has started."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the module may have replaced or closed it
            stream.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

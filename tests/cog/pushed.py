"""Versions of one small model, pushed with the real command."""

import json
import shutil

from tests.paths import PROJECTS

MODEL = "acme/hello"


def variant(folder, word):
    """A copy of the project ``run_text`` whose chunks are ``PROMPT INDEX WORD``."""
    copied = folder / word
    shutil.copytree(PROJECTS / "run_text", copied, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
    predictor = copied / "predict.py"
    predictor.write_text(predictor.read_text().replace('f"{prompt}{index} "', f'f"{{prompt}}{{index}} {word} "'))
    return copied


def pilotlight(capsys, *args):
    """Status, stdout and stderr of a command."""
    from pilotlight.cli import run

    capsys.readouterr()
    status = run([str(arg) for arg in args])
    said = capsys.readouterr()
    return status, said.out, said.err


def push(capsys, home, project, model=MODEL, *args):
    """The id of the version that is pushed."""
    status, out, err = pilotlight(capsys, "push", project, model, "--home", home, "--json", *args)
    assert status == 0, err
    return json.loads(out)["version"]

"""Small projects whose predictor is written by a test."""

import textwrap
from pathlib import Path

from pilotlight.runtime.project import Project


def project_with(folder: Path, source: str, *, ref: str = "predict.py:Predictor") -> Project:
    (folder / "cog.yaml").write_text(f'build:\n  python_version: "3.11"\nrun: "{ref}"\n')
    (folder / ref.partition(":")[0]).write_text(textwrap.dedent(source))
    return Project.load(folder)


def runner(signature: str, *, head: str = "", result: str = "str", decorator: str = "") -> str:
    return (
        "from typing import *\nfrom cog import *\nimport cog\n"
        f"{head}\n"
        "class Predictor(BaseRunner):\n"
        f"    {decorator}\n"
        f"    def run(self, {signature}) -> {result}:\n"
        "        ...\n"
    )


def imports_of(project: Project) -> int:
    """How often the predictor was imported: it adds a line to a file each time."""
    counter = project.root / "imports.txt"
    return len(counter.read_text().splitlines()) if counter.exists() else 0


COUNTED = """
    from cog import BaseRunner
    {imports}

    with open("imports.txt", "a") as file:
        file.write("once\\n")

    class Predictor(BaseRunner):
        def run(self, name: str = {default}) -> str:
            return name
"""

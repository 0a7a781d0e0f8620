"""A git repository with a project in a folder of it."""

import subprocess

from tests.paths import PROJECTS

PLANTED = PROJECTS / "warm_planted"


def git(folder, *arguments):
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost", "-c", "init.defaultBranch=main")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder):
    """Two commits and a change: setup takes 0 s in the first (``v1``), 0.8 s in the second, 1.6 s in the folder."""
    project = folder / "nested" / "project"
    project.mkdir(parents=True)
    for name in ("cog.yaml", "predict.py"):
        (project / name).write_text((PLANTED / name).read_text())
    (folder / ".gitignore").write_text(".cog/\n__pycache__/\nweights.bin\n")
    (folder / ".gitattributes").write_text("shared.txt export-ignore\n")
    (folder / "shared.txt").write_text("of all projects\n")
    (project / "weights.bin").write_text("fetched")
    git(folder, "init", "--quiet")
    commit(folder, "one")
    git(folder, "tag", "v1")
    takes(project, "0", "800")
    commit(folder, "two")
    takes(project, "800", "1600")
    return project


def commit(folder, message):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def takes(project, old_ms, new_ms):
    path = project / "predict.py"
    path.write_text(path.read_text().replace(f'"SETUP_MS", "{old_ms}"', f'"SETUP_MS", "{new_ms}"'))

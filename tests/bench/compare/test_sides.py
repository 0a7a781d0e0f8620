"""Folders, and folders at revisions of a real repository."""

from pathlib import Path

import pytest

from pilotlight.bench.compare.sides import Side, opened, parse_side
from pilotlight.errors import ConfigError, UsageError
from tests.bench.compare.repository import PLANTED, commit, git, repository


def test_a_folder_as_it_is():
    side = parse_side(str(PLANTED))
    assert side == Side(str(PLANTED), PLANTED)
    with opened(side, "A", {"X": "1"}) as target:
        assert (target.name, target.env, target.revision) == ("A: warm_planted", {"X": "1"}, None)
        assert target.project.root == PLANTED


def test_what_follows_the_folder_is_the_revision(tmp_path):
    (tmp_path / "my@project").mkdir()
    assert parse_side(f"{tmp_path}/my@project") == Side(f"{tmp_path}/my@project", tmp_path / "my@project")
    found = parse_side(f"{tmp_path}/my@project@main@{{upstream}}")
    assert (found.folder, found.revision) == (tmp_path / "my@project", "main@{upstream}")
    assert found.label == "my@project@main@{upstream}"


@pytest.mark.parametrize("text", ["nowhere", "nowhere@v1", "@v1", ".@", ".@--help", "cog.yaml@v1"])
def test_what_is_no_side(text):
    with pytest.raises(UsageError, match="there is no such folder; give a project's folder, or FOLDER@REVISION"):
        parse_side(text)


def test_a_revision_is_checked_out_for_the_run_and_leaves_no_trace(tmp_path):
    project = repository(tmp_path)
    before = (git(tmp_path, "status", "--porcelain=v2", "--branch"), index_of(tmp_path))
    with opened(parse_side(f"{project}@v1"), "A", {}) as target:
        root = target.project.root
        assert '"SETUP_MS", "0"' in (root / "predict.py").read_text()
        assert target.revision == git(tmp_path, "rev-parse", "v1")
        assert target.name == "A: project@v1"
        # The whole repository, export-ignore or not, but nothing that git does not hold.
        assert (root.parent.parent / "shared.txt").is_file()
        assert not (root / "weights.bin").exists()
        assert not root.is_relative_to(tmp_path)
        assert git(tmp_path, "worktree", "list").count("\n") == 0
    assert not root.parent.parent.parent.exists()
    assert (git(tmp_path, "status", "--porcelain=v2", "--branch"), index_of(tmp_path)) == before


def test_it_goes_whatever_ends_the_run(tmp_path):
    project = repository(tmp_path)
    roots = []

    def interrupted():
        with opened(parse_side(f"{project}@HEAD"), "B", {}) as target:
            roots.append(target.project.root)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not roots[0].exists()


def test_a_revision_that_is_not_there_or_has_no_project(tmp_path):
    project = repository(tmp_path)
    with pytest.raises(UsageError, match=r"project@nope: nope is unknown there; give a commit, branch or tag"):
        open_once(f"{project}@nope")
    new = tmp_path / "new"
    new.mkdir()
    (new / "cog.yaml").write_text((PLANTED / "cog.yaml").read_text())
    with pytest.raises(ConfigError, match=r"new@HEAD, checked out: .*is not a folder"):
        open_once(f"{new}@HEAD")
    commit(tmp_path, "half a project")
    with pytest.raises(ConfigError, match=r"there is no file predict\.py"):
        open_once(f"{new}@HEAD")


def test_a_folder_outside_of_any_repository(tmp_path):
    with pytest.raises(UsageError, match=r"@HEAD: is in no git repository"):
        open_once(f"{tmp_path}@HEAD")


def test_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="git is needed for a revision, but does not run"):
        open_once(f"{tmp_path}@HEAD")


def open_once(text):
    with opened(parse_side(text), "A", {}):
        pass


def index_of(folder: Path) -> bytes:
    return (folder / ".git" / "index").read_bytes()

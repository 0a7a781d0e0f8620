"""The id of a version."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import ConfigError
from pilotlight.gateway.registry.digest import LARGE_BYTES, Entry, list_entries, version_id
from pilotlight.loading.files.manifest import write_manifest

ENTRIES = st.lists(st.builds(Entry, st.text(min_size=1, max_size=5), st.sampled_from("ab")), max_size=6)


@given(ENTRIES, st.randoms())
def test_the_order_does_not_matter(entries, random):
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert version_id(shuffled) == version_id(entries)


@given(ENTRIES, ENTRIES)
def test_other_files_have_another_id(one, other):
    assert (version_id(one) == version_id(other)) == (sorted(one) == sorted(other))


def test_an_id_is_64_hex_digits_and_stays_the_same_between_releases():
    expected = "43212de7abac934a"
    found = version_id([Entry("predict.py", "sha256:00")])
    assert len(found) == 64
    assert found.startswith(expected)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "weights").mkdir(parents=True)
    (root / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    (root / "weights" / "big.bin").write_bytes(bytes(LARGE_BYTES + 1))
    return root


def names(root):
    return [entry.path for entry in sorted(list_entries(root))]


def id_of(root):
    return version_id(list_entries(root))


def test_what_is_no_part_of_the_project_does_not_count(project):
    before = id_of(project)
    for folder in (".git", "__pycache__", "pkg/__pycache__", "node_modules/x", "venv/lib"):
        (project / folder).mkdir(parents=True)
        (project / folder / "file").touch()
    (project / "venv" / "pyvenv.cfg").touch()
    (project / ".env").touch()
    for written in ("output.png", "output.0.png", "bench-cold-20261201-090000.json", "bench-load-20261201-090000.json"):
        (project / written).touch()
    assert names(project) == ["cog.yaml", "weights/big.bin"]
    assert id_of(project) == before


def test_what_only_looks_like_a_result_counts(project):
    for name in ("outputs.png", "bench-cold.json", "my-output.png", "weights/output.bin"):
        (project / name).touch()
    assert set(names(project)) == {
        "cog.yaml",
        "weights/big.bin",
        "outputs.png",
        "bench-cold.json",
        "my-output.png",
        "weights/output.bin",
    }


def test_a_small_file_counts_by_content_wherever_it_is_and_whenever_it_was_written(project):
    before = id_of(project)
    os.utime(project / "cog.yaml", (1, 1))
    moved = project.rename(project.with_name("elsewhere"))
    assert id_of(moved) == before
    (moved / "cog.yaml").write_text("predict: predict.py:Predicto2\n")
    assert id_of(moved) != before


def test_a_large_file_counts_by_size_and_time(project):
    os.utime(project / "weights" / "big.bin", (1, 1))
    before = id_of(project)
    (project / "weights" / "big.bin").write_bytes(bytes(LARGE_BYTES + 1))
    assert id_of(project) != before
    os.utime(project / "weights" / "big.bin", (1, 1))
    assert id_of(project) == before


def test_a_large_file_counts_by_its_manifest_where_there_is_one(project):
    write_manifest(project / "weights", source="made here")
    before = id_of(project)
    os.utime(project / "weights" / "big.bin", (1, 1))
    assert id_of(project) == before
    (project / "weights" / "big.bin").write_bytes(bytes(LARGE_BYTES + 2))
    assert id_of(project) != before


def test_somebody_elses_manifest_is_a_file_like_others(project):
    (project / "weights" / "manifest.json").write_text('{"name": "app"}')
    assert "weights/manifest.json" in names(project)


def test_a_linked_folder_counts_and_one_that_leads_back_ends(project, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "more.txt").write_text("more")
    (project / "linked").symlink_to(tmp_path / "shared")
    (project / "round").symlink_to(project)
    (project / "broken").symlink_to(project / "nowhere")
    assert names(project) == ["cog.yaml", "linked/more.txt", "weights/big.bin"]


def test_a_file_that_cannot_be_read_is_named(project):
    os.mkfifo(project / "pipe")  # is no file, and is left out
    assert names(project) == ["cog.yaml", "weights/big.bin"]
    with pytest.raises(ConfigError, match="nowhere cannot be read"):
        list_entries(project / "nowhere")


def test_a_projects_version_is_without_them_but_never_without_its_configuration(tmp_path):
    for path in ("cog.yaml", "a.txt", "b.md", "docs/deep/a.txt", "data/x.bin", "data/keep/x.bin", "x-1", "[odd]"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / ".dockerignore").write_text("*\n!data/keep\n")
    assert [entry.path for entry in sorted(list_entries(tmp_path))] == ["cog.yaml", "data/keep/x.bin"]
    (tmp_path / ".dockerignore").write_text("data\n**/*.txt\n")
    assert [entry.path for entry in sorted(list_entries(tmp_path))] == ["[odd]", "b.md", "cog.yaml", "x-1"]

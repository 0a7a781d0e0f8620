"""The order of starts."""

from collections import Counter

from pilotlight.bench.harness.targets import name_targets, schedule
from pilotlight.runtime import Project


def project(folder):
    folder.mkdir(parents=True)
    (folder / "cog.yaml").write_text("build:\n  python_version: '3.11'\nrun: run.py:run\n")
    (folder / "run.py").write_text("")
    return Project.load(folder)


def test_every_project_once_a_round_in_changing_order(tmp_path):
    targets = name_targets([project(tmp_path / name) for name in "abc"])
    steps = schedule(targets, 40, seed=7)
    assert [(step.round, step.target.name) for step in steps[:3]] == [(-1, "a"), (-1, "b"), (-1, "c")]
    rounds = [tuple(step.target.name for step in steps if step.round == number) for number in range(40)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(Counter(rounds)) == 6
    assert schedule(targets, 40, seed=7) == steps
    assert schedule(targets, 40, seed=8) != steps


def test_projects_of_the_same_name_get_a_number(tmp_path):
    one, two = project(tmp_path / "x" / "plain"), project(tmp_path / "y" / "plain")
    assert [target.name for target in name_targets([one, two, one])] == ["plain", "plain-2", "plain-3"]

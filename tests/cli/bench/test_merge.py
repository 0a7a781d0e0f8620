"""``pilotlight bench merge``."""

import pytest
from click.testing import CliRunner

from pilotlight.bench.harness.documents import read_document, write_document
from pilotlight.bench.warm.results import WarmResult
from pilotlight.cli import run
from pilotlight.cli.bench.merge import command
from tests.bench.cold.cold_results import ENVIRONMENT
from tests.bench.warm.warm_results import process, result


@pytest.fixture
def two(tmp_path):
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for number, path in enumerate(paths):
        write_document(result(process(ready_s=1.5 + number, times_s=(0.1, 0.2))), path)
    return paths


def test_one_file_of_two(two, tmp_path):
    out = tmp_path / "all.json"
    done = CliRunner().invoke(command, [*map(str, two), "--out", str(out)])
    assert done.exit_code == 0
    assert done.stderr == f"Written to: {out} (measured processes: 2 of plain)\n"
    assert [one.ready_s for one in read_document(WarmResult, out).processes] == [1.5, 2.5]


def test_what_does_not_belong_together_is_not_written(two, tmp_path, capsys):
    other = ENVIRONMENT.model_copy(update={"cpu_model": "Model A"})
    write_document(result(process(), environment=other), two[1])
    out = tmp_path / "all.json"
    assert run(["bench", "merge", *map(str, two), "--out", str(out)]) == 2
    assert "these results cannot be merged: environment, cpu_model is 'Model T' in one and 'Model A'" in (
        capsys.readouterr().err
    )
    assert not out.exists()


def test_one_alone(two, tmp_path, capsys):
    assert run(["bench", "merge", str(two[0]), "--out", str(tmp_path / "all.json")]) == 2
    assert "give at least two results" in capsys.readouterr().err

"""``pilotlight bench report`` as a process."""

import os
import subprocess
import sys

import pytest

from pilotlight.bench.calibrate.results import CalibrationFile
from pilotlight.bench.harness.documents import write_document
from tests.bench.report import made
from tests.bench.report.parsed import parsed

MAIN = "from pilotlight.cli import main; main()"
WITHOUT_MATPLOTLIB = f"import sys; sys.modules['matplotlib'] = None; {MAIN}"


def report(folder, *args, code=MAIN):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "bench", "report", *map(str, args)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def results(tmp_path):
    """The names of a file of each kind."""
    write_document(made.cold(), tmp_path / "cold.json")
    write_document(made.warm(), tmp_path / "warm.json")
    write_document(made.closed_load(clients=(1, 2)), tmp_path / "load.json")
    (tmp_path / "calibration.json").write_text(CalibrationFile.of(made.calibration()).model_dump_json())
    return ["cold.json", "warm.json", "load.json", "calibration.json"]


def test_tables_on_stdout_and_a_page_with_its_pictures_in_the_folder(tmp_path, results):
    done = report(tmp_path, *results, "--out", "out", "--title", "Two & one")
    assert done.returncode == 0, done.stderr
    names = ("waterfall", "imports", "warmup", "throughput-closed", "latency-closed")
    files = ["report.html", *(f"{name}-{paper}.png" for name in names for paper in ("light", "dark"))]
    assert done.stderr.splitlines() == [f"Written to: out/{name}" for name in files]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(files)
    assert parsed((tmp_path / "out" / "report.html").read_text()).all("h1")[0].text == "Two & one"
    for text in (
        "ours takes 0.225 times as long as plain",
        "in the steady state ours takes",
        "load on plain: plain predictions",
        "timer resolution",
        "At most 5.0% of comparisons of equals report a difference",
    ):
        assert text in done.stdout


def test_without_a_folder_nothing_is_written_and_matplotlib_is_not_needed(tmp_path, results):
    done = report(tmp_path, results[0], code=WITHOUT_MATPLOTLIB)
    assert done.returncode == 0, done.stderr
    assert "4.140 s cold start, median of 8" in done.stdout
    assert done.stdout.rstrip().endswith("pilotlight bench calibrate --json > calibration.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(results)


def test_pictures_without_matplotlib(tmp_path, results):
    done = report(tmp_path, results[0], "--out", "out", code=WITHOUT_MATPLOTLIB)
    assert done.returncode == 2
    assert "--out needs matplotlib for its pictures: pip install 'pilotlight[report]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing argument 'RESULT...'"),
        (["nowhere.json"], "nowhere.json cannot be read: No such file or directory"),
        (["calibration.json"], "that is only a calibration: give results of bench cold, warm or load as well"),
        (["cold.json", "notes.txt"], "notes.txt is not a result: it is not JSON"),
        (["cold.json", "cold.json"], "both contain the same processes; give each run once"),
        (["cold.json", "--title", "x"], "--title applies to the page: give --out as well"),
        (["cold.json", "--out", "notes.txt"], "'notes.txt' is a file"),
    ],
)
def test_mistakes_end_it_with_one_message(tmp_path, results, args, message):
    (tmp_path / "notes.txt").write_text("hello")
    done = report(tmp_path, *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr

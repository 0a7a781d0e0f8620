"""What is read out of a project's other files."""

import pickle

import pytest

from pilotlight.doctor.reading.context import image_files
from pilotlight.doctor.reading.project import is_pinned, read_project, requirements_in
from pilotlight.runtime import Project
from tests.paths import ROOT

COG_YAML = """
build:
  python_version: "3.11"
  gpu: true
  python_requirements: requirements.txt
  run:
    - command: pip install --index-url https://example.org/simple torch==2.13.0 && uv pip install einops
environment:
  - UV_COMPILE_BYTECODE=1
concurrency:
  max: 4
run: run.py:Runner
"""


@pytest.fixture
def project(tmp_path):
    files = {
        "cog.yaml": COG_YAML,
        "requirements.txt": "# all\nnumpy==2.4.6\n-r more.txt\n--extra-index-url https://example.org\n",
        "more.txt": "rich>=15  # tables\n",
        "run.py": "class Runner:\n    async def run(self) -> str:\n        return ''\n",
        "infera.yaml": "ml_inference:\n  scaling:\n    min_replicas: 3\n",
        ".dockerignore": "*.md\n",
        "notes.md": "left out",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_does_not_reach_the_image(project):
    (project / "run.py").write_text(
        "from cog import Input\n\nclass Runner:\n    def run(self, n: int = Input(ge=1 + 1)) -> str: ...\n"
    )
    (found,) = read_project(Project.load(project)).unbuilt
    assert (found.where, found.refused) == ("run.py:4", False)
    assert found.problem == "ge=1 + 1 is not read from source, so n has no ge; write ge=... with a literal"


def test_a_whole_project(project):
    read = read_project(Project.load(project))
    assert (read.gpu, read.max_concurrency, read.python_version, read.sdk_version) == (True, 4, "3.11", None)
    assert [(one.where, one.text, one.pinned) for one in read.requirements] == [
        ("requirements.txt:2", "numpy==2.4.6", True),
        ("more.txt:1", "rich>=15", False),
        ("cog.yaml", "torch==2.13.0", True),
        ("cog.yaml", "einops", False),
    ]
    assert len(read.commands) == 1
    assert read.environment == {"UV_COMPILE_BYTECODE": "1"}
    assert read.min_replicas == 3
    assert read.code is not None
    assert read.code.is_async
    assert {one.path for one in read.files} == {
        *("cog.yaml", "requirements.txt", "more.txt", "run.py", "infera.yaml", ".dockerignore")
    }


@pytest.mark.parametrize("text", ["", "just: words", "- 1", ": :", "scaling: {min_replicas: many}"])
def test_an_infera_yaml_that_does_not_say(project, text):
    (project / "infera.yaml").write_text(text)
    assert read_project(Project.load(project)).min_replicas is None


@pytest.mark.parametrize(
    ("requirement", "pinned"),
    [
        ("torch==2.13.0", True),
        ("torch == 2.13.0", True),
        ("torch===2.13.0+cu126", True),
        ("torch[extra]==2.13.0 ; python_version > '3.10'", True),
        ("torch", False),
        ("torch>=2", False),
        ("torch~=2.1", False),
        ("torch==2.*", False),
        ("torch>=2,<3", False),
        ("torch>=2 ; sys_platform == 'linux'", False),
        ("git+https://example.org/a.git", False),
        ("git+https://example.org/a.git@main", False),
        ("a @ git+https://example.org/a.git@" + "0" * 40, True),
        ("a @ https://example.org/a-1.0-py3-none-any.whl", True),
        ("./a-1.0-py3-none-any.whl", True),
    ],
)
def test_pinned(requirement, pinned):
    assert is_pinned(requirement) is pinned


def test_lines_of_requirements():
    text = "# no\n\na==1 \\\n  --hash=sha256:00\nb==2 # why\n"
    assert list(requirements_in(text)) == [(3, "a==1"), (4, "b==2")]


def test_files_of_the_image(tmp_path):
    for name in (".cog/openapi_schema.json", "left/out.txt", "kept/in.txt", "predict.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("12345")
    (tmp_path / "link.txt").symlink_to(tmp_path / "predict.py")
    (tmp_path / ".dockerignore").write_text("left\n")
    (tmp_path / "a.pt").write_bytes(pickle.dumps([1]))
    (tmp_path / "b.bin").write_bytes(b"a graph")
    files = {file.path: file for file in image_files(tmp_path)}
    assert set(files) == {".dockerignore", "a.pt", "b.bin", "kept/in.txt", "predict.py"}
    assert files["kept/in.txt"].size_bytes == 5
    assert [file.path for file in files.values() if file.pickled] == ["a.pt"]


def test_our_own_image_holds_no_tests():
    root = ROOT
    tops = {file.path.split("/")[0] for file in image_files(root)}
    assert {"predict.py", "pilotlight", "weights"} <= tops
    assert tops.isdisjoint({"tests", ".git", "docs"})

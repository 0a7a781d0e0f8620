"""cog.yaml: what is read from it, and what is said about everything that can be wrong with it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pilotlight.errors import ConfigError
from pilotlight.runtime.project import Project

PREDICTOR = "class Predictor: ...\n"


def write(folder: Path, config: str, **sources: str) -> Path:
    (folder / "cog.yaml").write_text(textwrap.dedent(config))
    for name, text in {"predict": PREDICTOR, **sources}.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def problem(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Project.load(folder)
    return str(caught.value)


def test_everything_that_the_runtime_needs_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch\n")
    write(
        tmp_path,
        """
        build:
          python_version: "3.12"
          python_requirements: requirements.txt
          sdk_version: "0.23.1"
          gpu: true
          cuda: 12.8
          system_packages: [ffmpeg]
          run:
            - apt-get clean
            - command: pip install x
              mounts: [{type: secret, id: pip, target: /etc/pip.conf}]
        model: "example/model"
        run: "predict.py:Predictor"
        train: "train.py:train"
        concurrency:
          max: 4
          default_target: 2
        environment:
          - GREETING=hello = world
          - EMPTY=
        weights:
          - {name: base, target: /weights/base, source: {uri: "hf://a/b", include: ["*.safetensors"]}}
          - {name: more, target: /weights/more, source: [{uri: "file://x"}, {uri: "file://y"}]}
        """,
        train="def train(): ...\n",
    )
    project = Project.load(str(tmp_path))
    assert project == Project(
        root=tmp_path,
        predict_ref="predict.py:Predictor",
        train_ref="train.py:train",
        max_concurrency=4,
        environment={"GREETING": "hello = world", "EMPTY": ""},
        python_version="3.12",
        sdk_version="0.23.1",
        gpu=True,
        requirements=tmp_path / "requirements.txt",
        model="example/model",
        traces={},
        notes=(
            "concurrency.default_target: for Replicate's autoscaler, and without effect here",
            "weights: not fetched here; the files have to be in /weights/base, /weights/more for the predictor",
        ),
    )
    assert project.predict_file == tmp_path / "predict.py"
    assert project.predict_name == "Predictor"
    assert project.server_environment() == {
        "GREETING": "hello = world",
        "EMPTY": "",
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        "COG_TRAIN_TYPE_STUB": "train.py:train",
        "COG_MAX_CONCURRENCY": "4",
    }


def test_little_is_needed(tmp_path: Path) -> None:
    project = Project.load(write(tmp_path, "predict: predict.py:Predictor\nimage: r8.im/a/b\n"))
    assert (project.max_concurrency, project.python_version, project.train_ref) == (1, None, None)
    assert (project.gpu, project.model, dict(project.environment)) == (False, "r8.im/a/b", {})


def test_empty_lists_may_be_null(tmp_path: Path) -> None:
    config = """
        build: {python_version: "3.11", run: null, system_packages: null, python_packages: null, pre_install: null}
        environment:
        weights:
        run: predict.py:Predictor
        """
    assert Project.load(write(tmp_path, config)).python_version == "3.11"


def test_a_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "run: predict.py:Predictor\n")
    monkeypatch.chdir(tmp_path)
    assert Project.load(".").root == tmp_path


def test_a_bare_python_version_keeps_its_zero(tmp_path: Path) -> None:
    config = "build:\n  python_version: 3.10\n  sdk_version: 0.20\nrun: predict.py:Predictor\n"
    project = Project.load(write(tmp_path, config))
    assert (project.python_version, project.sdk_version) == ("3.10", "0.20")


def test_traces_become_the_variables_of_cogs_image(tmp_path: Path) -> None:
    config = """
        run: predict.py:Predictor
        observability:
          config: predict.py
          traces: {enabled: true, sampler: traceidratio, sampler_arg: 0.5, trace_header: X-Trace}
        """
    assert Project.load(write(tmp_path, config)).traces == {
        "COG_TRACE_CONFIGURED": "true",
        "COG_TRACE_ENABLED": "true",
        "COG_TRACE_SAMPLER": "traceidratio",
        "COG_TRACE_SAMPLER_ARG": "0.5",
        "COG_TRACE_HEADER": "X-Trace",
        "COG_TRACE_HEADER_FORMAT": "w3c",
    }
    off = config.replace("enabled: true", "enabled: false")
    assert Project.load(write(tmp_path, off)).traces == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import cog\nclass Predictor:\n  @cog.concurrent(max=8)\n  async def run(self): ...", 8),
        ("from cog import concurrent\nclass Predictor:\n  @concurrent\n  async def predict(self): ...", 1),
        ("from cog import concurrent as many\nclass Predictor:\n  @many(max=3)\n  async def run(self): ...", 3),
        (
            "import cog as c\nclass B:\n  @c.concurrent(max=5)\n  async def run(self): ...\nclass Predictor(B): ...",
            5,
        ),
        ("import cog\n@cog.concurrent(max=2)\nasync def Predictor(): ...", 2),
        ("import cog\nclass Other:\n  @cog.concurrent(max=8)\n  async def run(self): ...\nclass Predictor: ...", 1),
        ("from other import concurrent\nclass Predictor:\n  @concurrent(max=8)\n  async def run(self): ...", 1),
        ("this is not Python", 1),
    ],
)
def test_the_decorator_sets_the_concurrency(tmp_path: Path, source: str, expected: int) -> None:
    root = write(tmp_path, "run: predict.py:Predictor\n", predict=source)
    assert Project.load(root).max_concurrency == expected


def test_cog_yaml_wins_over_the_decorator(tmp_path: Path) -> None:
    source = "import cog\nclass Predictor:\n  @cog.concurrent(max=8)\n  async def run(self): ..."
    root = write(tmp_path, "run: predict.py:Predictor\nconcurrency: {max: 2}\n", predict=source)
    assert Project.load(root).max_concurrency == 2


@pytest.mark.parametrize("call", ["concurrent(max=N)", "concurrent(max=0)", "concurrent(4)", "concurrent(max=True)"])
def test_a_concurrency_that_cannot_be_read_is_refused(tmp_path: Path, call: str) -> None:
    source = f"from cog import concurrent\nclass Predictor:\n  @{call}\n  async def run(self): ..."
    message = problem(write(tmp_path, "run: predict.py:Predictor\n", predict=source))
    assert f"predict.py:3: {call}: write the limit out as a whole number above 0" in message


@pytest.mark.parametrize(
    ("config", "key", "message"),
    [
        ("", "", "neither run nor predict is set"),
        (
            "run: predict.py:P\npredict: predict.py:P",
            "",
            "both run and predict are set; they mean the same, so keep run",
        ),
        ("run: predict.py", "run", "'predict.py': must be a file and the class or function in it; write for example"),
        ("run: predict:Predictor", "run", "'predict:Predictor': must be a file"),
        ("run: 'predict.py:'", "run", "'predict.py:': must be a file"),
        ("run: 5", "run", "5: should be a valid string"),
        ("run: missing.py:Predictor", "run", "there is no file missing.py in"),
        ("predict: missing.py:Predictor", "predict", "there is no file missing.py in"),
        ("run: ../predict.py:Predictor", "run", "../predict.py lies outside the project"),
        ("run: predict.py:P\ntrain: t.py:train", "train", "there is no file t.py in"),
        ("run: predict.py:P\nbuild: {}", "build.python_version", 'is missing; add it, such as python_version: "3.13"'),
        ("run: predict.py:P\nbuild: {python_version: '3'}", "build.python_version", "'3': must name major and minor"),
        ("run: predict.py:P\nbuild: {python_version: 3.9}", "build.python_version", "'3.9': Cog needs Python 3.10"),
        ("run: predict.py:P\nbuild: {python_version: true}", "build.python_version", "True: should be a valid string"),
        ("run: predict.py:P\nbuild: {python_version: '3.11', gpu: 1}", "build.gpu", "1: should be a valid boolean"),
        (
            "run: predict.py:P\nbuild: {python_version: '3.11', python_requirements: no.txt}",
            "build.python_requirements",
            "'no.txt': there is no such file",
        ),
        (
            "run: predict.py:P\nbuild: {python_version: '3.11', python_packages: [a], python_requirements: b}",
            "build",
            "both python_packages and python_requirements are set; keep python_requirements",
        ),
        ("run: predict.py:P\nbuild: [3]", "build", "[3]: should be a section with keys of its own"),
        ("run: predict.py:P\nconcurrency: {max: 0}", "concurrency.max", "0: should be greater than or equal to 1"),
        ("run: predict.py:P\nconcurrency: {max: '2'}", "concurrency.max", "'2': should be a valid integer"),
        ("run: predict.py:P\nconcurrency: {}", "concurrency.max", "is missing; add it"),
        (
            "run: predict.py:P\nconcurrency: {max: 2}\nbuild: {python_version: '3.10'}",
            "",
            "concurrency.max is 2, which needs Python 3.11 or newer; raise build.python_version",
        ),
        ("run: predict.py:P\nenvironment: [NAME]", "environment", "'NAME' is not in the form NAME=value"),
        ("run: predict.py:P\nenvironment: [1A=x]", "environment", "'1A=x' is not in the form NAME=value"),
        ("run: predict.py:P\nenvironment: {A: b}", "environment", "{'A': 'b'}: should be a valid list"),
        ("run: predict.py:P\nenvironment: [A=1, A=2]", "environment", "A is set twice"),
        ("run: predict.py:P\nenvironment: [PATH=/x]", "environment", "PATH is reserved"),
        ("run: predict.py:P\nenvironment: [CUDA_HOME=/x]", "environment", "CUDA_HOME is reserved"),
        ("run: predict.py:P\nimage: a\nmodel: b", "", "both image and model are set"),
        (
            "rn: predict.py:P",
            "",
            "so there is nothing to serve; rn: unknown key, which has no effect; did you mean run?; add a line such as",
        ),
        (
            "run: predict.py:P\nobservability: {traces: {enabled: true, sampler: often}}",
            "observability.traces.sampler",
            "'often': should be 'always_on'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, config: str, key: str, message: str) -> None:
    said = problem(write(tmp_path, config))
    assert "\n" not in said
    assert message in said
    assert said.startswith(f"{tmp_path / 'cog.yaml'}: {f'{key}: ' if key else ''}")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    said = problem(write(tmp_path, "run: 5\nbuild: {}\nenvironment: [x]\n")).splitlines()
    assert [line.split(": ")[1] for line in said] == ["build.python_version", "run", "environment"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("run: [\n", "is not valid YAML: line 2, column 1: "),
        ("run: predict.py:P\nrun: predict.py:Q\n", "is not valid YAML: line 2, column 1: run is set twice"),
        ("build:\n  gpu: true\n  gpu: false\n", "is not valid YAML: line 3, column 3: gpu is set twice"),
        ("- run\n", "expected keys such as build: and run:, found ['run']"),
        ("just text\n", "expected keys such as build: and run:, found 'just text'"),
        ("run: !!python/name:os.system\n", "is not valid YAML: line 1, column 6: could not determine a constructor"),
        ("? {a: b}\n: c\n", "is not valid YAML: line 1, column 3: found unhashable key"),
        ("1: predict.py:P\n", "1: unknown key"),
        ("yes: predict.py:P\n", "True: unknown key"),
        ("run: \x00\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_not_a_config_is_named(tmp_path: Path, config: str, message: str) -> None:
    said = problem(write(tmp_path, config))
    assert "\n" not in said
    assert message in said


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path) == f"there is no cog.yaml in {tmp_path}; give the folder of a Cog project"
    assert "is not a folder" in problem(tmp_path / "nowhere")
    (tmp_path / "cog.yaml").mkdir()
    assert "cannot be read" in problem(tmp_path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_bytes("model: é".encode("latin-1"))
    assert "cannot be read" in problem(tmp_path)


@pytest.mark.parametrize(
    ("config", "notes"),
    [
        ("", []),
        ("rn: x", ["rn: unknown key, which has no effect; did you mean run?"]),
        ("1: x", ["1: unknown key, which has no effect; known here: build, concurrency, "]),
        (
            "build: {python_version: '3.11', sdk: 1}",
            ["build.sdk: unknown key, which has no effect; known here: cuda, "],
        ),
        ("concurrency: {max: 1, mx: 1}", ["concurrency.mx: unknown key, which has no effect; did you mean max?"]),
        (
            "weights: [{name: a, target: /a, source: {urn: x, uri: y}}]",
            [
                "weights[0].source[0].urn: unknown key, which has no effect; did you mean uri?",
                "weights: not fetched here",
            ],
        ),
        (
            "build: {python_version: '3.11', fast: false, cog_runtime: true}",
            ["build.fast: of older releases of Cog", "build.cog_runtime: of older releases of Cog"],
        ),
        ("concurrency: {max: 1, default_target: 1}", ["concurrency.default_target: for Replicate's autoscaler"]),
        ("build: {<<: {gpu: true}, python_version: '3.11'}", []),
        ("observability: {config: predict.py, traces: {enabled: true}}", []),
        ("image: r8.im/a/b\nenvironment: [A=b]", []),
        ("train: predict.py:train", []),
    ],
)
def test_keys_without_effect_are_taken_and_named(tmp_path: Path, config: str, notes: list[str]) -> None:
    found = Project.load(write(tmp_path, f"run: predict.py:Predictor\n{config}\n")).notes
    assert len(found) == len(notes)
    assert all(one.startswith(note) for one, note in zip(found, notes, strict=True))

"""The reader writes what Cog 0.23.1's own generator writes for the same source, and refuses what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.runtime.schema.document import Signature, document
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError
from pilotlight.runtime.schema.static.reader import Verb, read_handler

_FILE = Path(__file__).parents[3] / "data" / "cog_schema_cases.json"
_DATA: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
_CASES: dict[str, dict[str, Any]] = _DATA["cases"]
_ALWAYS_THERE = {"PredictionRequest", "PredictionResponse", "Status", "HTTPValidationError", "ValidationError"}
_REFUSED = [name for name, case in _CASES.items() if "refused" in case]
_TAKEN = [name for name, case in _CASES.items() if "refused" not in case]


def read_source(folder: Path, ref: str, verb: Verb = "predict") -> Signature:
    return read_handler(folder, ref, verb).signature


def _written(folder: Path, name: str) -> str:
    """Write the files of a case and return its reference."""
    case = _CASES[name]
    for path, text in case["files"].items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("# imports\n", _DATA["imports"]), encoding="utf-8")
    return str(case.get("ref", "predict.py:Predictor"))


def _schemas(folder: Path, ref: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the components that depend on the predictor, and the marks of its route."""
    found = document(read_source(folder, ref), None, cog_version="0.23.1")
    schemas = {name: one for name, one in found["components"]["schemas"].items() if name not in _ALWAYS_THERE}
    post = found["paths"]["/predictions"]["post"]
    return schemas, {key: value for key, value in post.items() if key.startswith("x-")}


def _predictor(folder: Path, signature: str, before: str = "") -> Path:
    folder.joinpath("predict.py").write_text(
        f"from cog import Input\n{before}\ndef predict({signature}) -> str:\n    return ''\n", encoding="utf-8"
    )
    return folder


def test_the_cases_are_all_there() -> None:
    assert len(_TAKEN) == 237
    assert len(_REFUSED) == 73


@pytest.mark.parametrize("name", _TAKEN)
def test_writes_what_cog_writes(tmp_path: Path, name: str) -> None:
    schemas, marks = _schemas(tmp_path, _written(tmp_path, name))
    assert schemas == _CASES[name]["schemas"]
    assert marks == _CASES[name].get("post", {})
    assert json.dumps(schemas, sort_keys=True) == json.dumps(
        _CASES[name]["schemas"], sort_keys=True
    )  # 1, not 1.0 or true


@pytest.mark.parametrize("name", _REFUSED)
def test_refuses_what_cog_refuses_and_says_what_to_change(tmp_path: Path, name: str) -> None:
    ref = _written(tmp_path, name)
    with pytest.raises(BuildRefusedError, match=r"^predict\.py:(\d+: )?.+; \w+") as caught:
        read_source(tmp_path, ref)
    assert caught.value.file == "predict.py"


def test_a_refusal_names_the_line(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "a: str,\n    b: str = Input(choices=('x', 'y'))")
    with pytest.raises(BuildRefusedError, match=r"^predict\.py:4: parameter b: the choices \('x', 'y'\)"):
        read_source(folder, "predict.py:predict")


def test_nothing_is_executed(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "a: str", before="raise SystemExit('imported')\n")
    assert [one["name"] for one in read_source(folder, "predict.py:predict")["inputs"]] == ["a"]


def test_a_comment_in_a_list_of_choices_hides_it_from_cog(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "a: str = Input(choices=[\n    'x',  # the first\n    'y',\n])")
    with pytest.raises(BuildRefusedError, match="without comments"):
        read_source(folder, "predict.py:predict")


def test_columns_are_counted_in_characters(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "é: str = Input(default='ü', description='ä'), b: int = Input(default=(3))")
    first, second = read_source(folder, "predict.py:predict")["inputs"]
    assert (first["default"], first["description"]) == ("ü", "ä")
    assert second["default"] is None


def test_other_line_ends_are_read_alike(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "a: str = 'x',\r\n    b: int = 3")
    assert [one["default"] for one in read_source(folder, "predict.py:predict")["inputs"]] == ["x", 3]


def test_models_that_import_each_other(tmp_path: Path) -> None:
    tmp_path.joinpath("one.py").write_text(
        "from cog import BaseModel\nfrom two import Two\nclass One(BaseModel):\n    two: Two\n", encoding="utf-8"
    )
    tmp_path.joinpath("two.py").write_text(
        "from cog import BaseModel\nimport one\nclass Two(BaseModel):\n    n: int\n", encoding="utf-8"
    )
    tmp_path.joinpath("predict.py").write_text(
        "from one import One\ndef predict() -> One:\n    ...\n", encoding="utf-8"
    )
    output = read_source(tmp_path, "predict.py:predict")["output"]
    assert output["properties"]["two"]["required"] == ["n"]


def test_train_has_its_own_method(tmp_path: Path) -> None:
    tmp_path.joinpath("train.py").write_text("def train(n: int) -> str:\n    return ''\n", encoding="utf-8")
    assert read_source(tmp_path, "train.py:train", "train")["inputs"][0]["name"] == "n"


def test_source_for_another_python_is_told_apart(tmp_path: Path) -> None:
    folder = _predictor(tmp_path, "a: str", before="from nowhere import\n")
    with pytest.raises(UnknownSyntaxError, match=r"predict\.py:2: .+--python"):
        read_source(folder, "predict.py:predict")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BuildRefusedError, match=r"predict\.py cannot be read"):
        read_source(tmp_path, "predict.py:predict")

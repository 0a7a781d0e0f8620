import base64
import io
import json

import pytest

from pilotlight.cli.common.values import inputs_from_flags, inputs_from_json
from pilotlight.errors import InputError, UsageError
from pilotlight.runtime.predictor_schema import PredictorSchema

INPUTS = {
    "prompt": {"type": "string"},
    "count": {"type": "integer"},
    "ratio": {"type": "number"},
    "flag": {"type": "boolean"},
    "color": {"allOf": [{"$ref": "#/components/schemas/color"}]},
    "tags": {"type": "array", "items": {"type": "string"}},
    "numbers": {"type": "array", "items": {"type": "integer"}},
    "options": {"type": "object"},
    "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "image": {"type": "string", "format": "uri"},
    "images": {"type": "array", "items": {"type": "string", "format": "uri"}},
}


def schema_of(*required):
    properties = {name: {"x-order": order, **schema} for order, (name, schema) in enumerate(INPUTS.items())}
    schema = {"properties": properties, "required": list(required)}
    color = {"type": "integer", "enum": [1, 2]}
    return PredictorSchema.of({"components": {"schemas": {"Input": schema, "color": color}}})


@pytest.mark.parametrize(
    ("flags", "inputs"),
    [
        ([], {}),
        (["prompt=def main(a=1):"], {"prompt": "def main(a=1):"}),
        (["prompt="], {"prompt": ""}),
        (['prompt="quoted"'], {"prompt": "quoted"}),
        (['prompt="'], {"prompt": '"'}),
        (["prompt=7"], {"prompt": "7"}),
        (["count=-7", "ratio=1e-3"], {"count": -7, "ratio": 0.001}),
        (["ratio=2"], {"ratio": 2}),
        (["flag=true"], {"flag": True}),
        (["flag=False"], {"flag": False}),
        (["color=2"], {"color": 2}),
        (["tags=a"], {"tags": ["a"]}),
        (["tags=a", "tags=b"], {"tags": ["a", "b"]}),
        (['tags=["a", "b"]'], {"tags": ["a", "b"]}),
        (["numbers=1", "numbers=2"], {"numbers": [1, 2]}),
        (["numbers=3"], {"numbers": [3]}),
        (['options={"a": [1]}'], {"options": {"a": [1]}}),
        (["either=5"], {"either": 5}),
        (["either=five"], {"either": "five"}),
    ],
)
def test_flags(flags, inputs):
    assert inputs_from_flags(flags, schema_of()) == inputs


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["count=x"], "^count: 'x' is not a whole number$"),
        (["count=1.5"], "^count: '1.5' is not a whole number$"),
        (["count="], "^count: '' is not a whole number$"),
        (["ratio=nan"], "^ratio: 'nan' is not a number$"),
        (["ratio=1e999"], "^ratio: '1e999' is not a number$"),
        (["flag=yes"], "^flag: 'yes' is not true or false$"),
        (["options=[1]"], "^options: '.1.' is not a JSON object$"),
        (["numbers=1", "numbers=x"], "^numbers: 'x' is not a whole number$"),
        (["prompt=a", "prompt=b"], "^prompt: given more than once, but it is not a list$"),
        (["promt=a"], "^promt: unknown input, did you mean 'prompt'. it takes prompt, count, "),
        (["image=@not/there.png"], "^image: cannot read the file not/there.png: No such file or directory$"),
    ],
)
def test_flags_that_are_wrong(flags, message):
    with pytest.raises(InputError, match=message):
        inputs_from_flags(flags, schema_of())


@pytest.mark.parametrize("flag", ["prompt", "=x", ""])
def test_a_flag_without_a_name_or_a_value(flag):
    with pytest.raises(UsageError, match="give it as name=value"):
        inputs_from_flags([flag], schema_of())


def test_all_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"^prompt: missing, and required .so are count, image.; give it with -i"):
        inputs_from_flags(["flag=true"], schema_of("image", "prompt", "count"))


def test_files_are_sent_as_data_urls(tmp_path):
    content = b"\0\xff not text"
    (tmp_path / "a.png").write_bytes(content)
    (tmp_path / "b").write_bytes(content)
    encoded = base64.b64encode(content).decode()
    png, unknown = f"data:image/png;base64,{encoded}", f"data:application/octet-stream;base64,{encoded}"
    flags = [f"image=@{tmp_path}/a.png", f"images=@{tmp_path}/a.png", f"images=@{tmp_path}/b"]
    assert inputs_from_flags(flags, schema_of()) == {"image": png, "images": [png, unknown]}
    assert inputs_from_flags([f"images=@{tmp_path}/b"], schema_of()) == {"images": [unknown]}
    as_json = json.dumps({"image": f"@{tmp_path}/a.png", "count": 1})
    assert inputs_from_json(as_json, schema_of()) == {"image": png, "count": 1}


def test_json_from_a_file_and_from_the_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "in.json"
    path.write_text('{"prompt": "é"}', encoding="utf-8")
    assert inputs_from_json(f"@{path}", schema_of()) == {"prompt": "é"}
    for source in ("-", "@-"):
        monkeypatch.setattr("sys.stdin", io.StringIO('{"count": 2}'))
        assert inputs_from_json(source, schema_of()) == {"count": 2}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nope", "--json: its value is not JSON"),
        ("[1]", "--json: its value must be a JSON object"),
        ("[" * 100_000, "--json: its value is not JSON"),
        ("@not/there", "--json: cannot read not/there"),
        ('{"promt": 1}', "promt: unknown input"),
        ("{}", "prompt: missing"),
    ],
)
def test_json_that_is_wrong(source, message):
    with pytest.raises(UsageError, match=message):
        inputs_from_json(source, schema_of("prompt"))

"""``pilotlight run``, ``types`` and ``prices``."""

import importlib.util
import json
import sys
import typing

import pytest

from pilotlight.cli import run
from pilotlight.client.typegen import module_for
from pilotlight.errors import UsageError
from pilotlight.prices import load_prices
from tests.paths import PROJECTS

TEXT = f"project:{PROJECTS / 'run_text'}"


def test_text_comes_out_and_the_times_are_told(capfd):
    assert run(["run", TEXT, "-i", "prompt=a", "-i", "count=2"]) == 0
    out, err = capfd.readouterr()
    assert out == "a0 a1 \n"
    assert "mode echo" in err
    assert "cold start" in err.splitlines()[-1]


def test_json_has_all_of_it(capfd):
    assert run(["run", TEXT, "-i", "prompt=a", "-i", "mode=raise", "--json"]) == 1
    shown = json.loads(capfd.readouterr().out)
    assert (shown["status"], shown["target"]) == ("failed", TEXT)
    assert "boom" in shown["error"]
    assert shown["timing"]["cold_start_s"] > 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere"], "expected replicate:OWNER/NAME"),
        ([TEXT, "-i", "prompt"], "name=value"),
        ([TEXT, "-i", "promt=a"], "did you mean 'prompt'"),
        (["runpod:abc"], "RUNPOD_API_KEY"),
        (["runpod:abc", "--token", "t", "--hardware", "tpu"], "no hardware 'tpu'"),
    ],
)
def test_mistakes_are_named(args, words, capfd, monkeypatch):
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    assert run(["run", *args]) == 2
    assert words in capfd.readouterr().err


def test_a_target_that_is_not_there_is_named(capfd):
    assert run(["run", "gateway:http://127.0.0.1:1", "-i", "prompt=a"]) == 1
    assert "127.0.0.1:1 cannot be reached" in capfd.readouterr().err


def test_types_are_a_module_that_says_what_the_predictor_takes(tmp_path, capfd, monkeypatch):
    path = tmp_path / "made.py"
    assert run(["types", f"project:{PROJECTS / 'types_inputs'}", "-o", str(path)]) == 0
    assert str(path) in capfd.readouterr().err
    spec = importlib.util.spec_from_file_location("made", path)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "made", made)
    spec.loader.exec_module(made)
    names = vars(made)
    hints = typing.get_type_hints(names["Input"], names)
    assert hints["text"] is str
    assert set(typing.get_args(typing.get_args(hints["color"])[0])) >= {"red", "green", "blue"}
    assert names["Input"].__required_keys__ == {"text"}
    assert callable(names["run"])


def test_types_of_what_cannot_be_typed_are_refused():
    with pytest.raises(UsageError, match="which inputs"):
        module_for("x", {})
    document = {"components": {"schemas": {"Input": {"properties": {"class": {"type": "string"}}}}}}
    with pytest.raises(UsageError, match="'class'"):
        module_for("x", document)


def test_prices_are_shown_with_source_and_billing(capfd):
    assert run(["prices", "runpod"]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "rounded up to 1 s" in out
    assert "0.000310" in out
    assert load_prices().tariffs["runpod"].source in out
    assert "sagemaker" not in out


def test_prices_as_json_and_of_an_unknown_home(capfd):
    assert run(["prices", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["platforms"].keys() == load_prices().tariffs.keys()
    assert run(["prices", "moon"]) == 2
    assert "'moon'" in capfd.readouterr().err

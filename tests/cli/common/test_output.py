import base64
import json

import pytest

from pilotlight.cli.common.output import Printer
from pilotlight.errors import UsageError
from pilotlight.runtime.predictor_schema import OutputKind
from pilotlight.types import Prediction, Status

URI = {"type": "string", "format": "uri"}


def done(output):
    return Prediction("p", Status.SUCCEEDED, output=output, logs="said\n", metrics={"predict_time": 1.5})


def url(data, kind="text/plain"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_text_comes_as_it_is_and_ends_with_a_line_end(capsys):
    printer = Printer(OutputKind.TEXT, None)
    printer.chunk("a ")
    assert capsys.readouterr().out == "a "
    printer.chunk("b")
    printer.end_line()
    printer.finish(done(["a ", "b"]))
    assert capsys.readouterr().out == "b\n"


def test_lines_come_as_json(capsys):
    printer = Printer(OutputKind.LINES, None)
    printer.chunk({"é": 1})
    printer.chunk("two\n")
    printer.end_line()
    printer.finish(done([]))
    assert capsys.readouterr().out == '{"é": 1}\n"two\\n"\n'


def test_anything_else_is_json_at_the_end(capsys):
    printer = Printer(OutputKind.JSON, None)
    printer.chunk({"a": 1})
    printer.end_line()
    assert capsys.readouterr().out == ""
    printer.finish(done({"a": 1}))
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_output_into_a_file_and_into_a_folder(tmp_path, capsys):
    for path, written in ((tmp_path / "out.txt", tmp_path / "out.txt"), (tmp_path, tmp_path / "output")):
        printer = Printer(OutputKind.TEXT, path)
        printer.chunk("héllo")
        printer.end_line()
        printer.finish(done(["héllo"]))
        assert written.read_text(encoding="utf-8") == "héllo"
        streams = capsys.readouterr()
        assert streams.out == ""
        assert str(written) in streams.err


def test_a_file_gets_the_name_asked_for_or_the_ending_of_its_type(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Printer(OutputKind.FILE, None).finish(done(url(b"\x89PNG", "image/png")))
    assert (tmp_path / "output.png").read_bytes() == b"\x89PNG"
    Printer(OutputKind.FILE, tmp_path / "my.xyz").finish(done(url(b"x", "image/png")))
    assert (tmp_path / "my.xyz").read_bytes() == b"x"
    Printer(OutputKind.FILE, tmp_path / "plain").finish(done("data:nobody/knows,a%20b"))
    assert (tmp_path / "plain.bin").read_bytes() == b"a b"
    assert capsys.readouterr().out == ""


def test_several_files_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Printer(OutputKind.FILES, None).finish(done([url(b"a"), url(b"b")]))
    assert (tmp_path / "output.0.txt").read_bytes() == b"a"
    assert (tmp_path / "output.1.txt").read_bytes() == b"b"


def test_a_file_that_was_uploaded_is_printed(capsys):
    Printer(OutputKind.FILE, None).finish(done("https://example.com/a.png"))
    assert capsys.readouterr().out == "https://example.com/a.png\n"


def test_a_prediction_as_json(tmp_path, capsys):
    Printer(OutputKind.TEXT, None).finish_json(done(["a"]))
    assert json.loads(capsys.readouterr().out) == {
        "id": "p",
        "status": "succeeded",
        "output": ["a"],
        "error": None,
        "logs": "said\n",
        "metrics": {"predict_time": 1.5},
    }
    Printer(OutputKind.FILE, tmp_path / "out.json").finish_json(done(url(b"x", "image/png")))
    saved = json.loads((tmp_path / "out.json").read_text())
    assert saved["output"] == str(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"x"


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        Printer(OutputKind.TEXT, tmp_path / "not" / "there.txt")

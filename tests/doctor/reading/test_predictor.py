"""What is read out of a predictor's source."""

from textwrap import dedent

import pytest

from pilotlight.doctor.facts import InputFact
from pilotlight.doctor.reading.predictor import read_code


def read(tmp_path, source, name="Predictor", modules=None):
    """The code of a project with this predictor and these other modules, by their paths."""
    for module, text in {"predict.py": source, **(modules or {})}.items():
        path = tmp_path / module
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
    return read_code(tmp_path, tmp_path / "predict.py", name)


def names(code, *phases):
    return {call.name for call in code.reached(*phases)}


WHOLE = """
    import torch
    from cog import BasePredictor, Input
    from helpers import fetch as get
    from parts import net

    MODEL = "org/name"
    print("imported")

    class Base(BasePredictor):
        def setup(self):
            get(MODEL)
            self.model = net.Net(revision="abc").to("cuda")
            self.pipe: object = torch.load("a.pt", map_location=device())
            self._finish()

        def _finish(self):
            self.model.eval()

    class Predictor(Base):
        async def predict(self, prompt: str = Input(description="a"), *, n: int = Input(ge=1), x: float = 1.0) -> str:
            def inner():
                return time.sleep(1)
            if self.cache is None:
                self.cache = torch.load("b.pt")
            await net.run(self.model)
            return await asyncio.to_thread(get, prompt)

        def healthcheck(self):
            return True
"""
HELPERS = """
    import requests

    def fetch(url):
        return requests.get(url)

    def unused():
        os.system("true")
"""
NET = """
    from . import more

    class Net:
        def __init__(self, revision):
            more.build(revision)

    async def run(model):
        model.generate()
"""


@pytest.fixture
def whole(tmp_path):
    more = "def build(revision): open('weights.bin')"
    parts = {"parts/__init__.py": "", "parts/net.py": NET, "parts/more.py": more}
    return read(tmp_path, WHOLE, modules={"helpers.py": HELPERS, **parts})


def test_calls_are_found_where_they_are_reached_from(whole):
    assert "print" in names(whole, "import")
    setup = names(whole, "setup")
    assert {"helpers.fetch", "requests.get", "parts.net.Net", "parts.more.build", "open", "torch.load"} <= setup
    assert "self.model.eval" in setup
    predict = names(whole, "predict")
    # What is handed on is reached too; what nobody mentions is not.
    assert {"requests.get", "model.generate", "torch.load"} <= predict
    assert "os.system" not in names(whole, "import", "setup", "predict")
    # A default belongs to the signature: it is no part of a prediction.
    assert "cog.Input" not in predict


def test_each_call_says_what_the_rules_need(whole):
    calls = {(call.phase, call.name): call for call in whole.calls}
    fetch = calls["setup", "helpers.fetch"]
    assert (fetch.where, fetch.argument, fetch.first) == ("predict.py:12", "org/name", "MODEL")
    load = calls["setup", "torch.load"]
    assert (load.argument, load.keywords, load.sources) == ("a.pt", {}, {"map_location": "device()"})
    assert calls["setup", "parts.net.Net"].keywords == {"revision": "abc"}
    assert calls["setup", "open"].where == "parts/more.py:1"
    assert calls["predict", "torch.load"].guarded
    assert not load.guarded
    # On the loop: directly in an async def, and not awaited.
    assert {call.name for call in whole.calls if call.on_loop} == {"torch.load", "model.generate"}


def test_the_predictor_itself(whole):
    assert whole.where == "predict.py:21"
    assert (whole.is_async, whole.is_generator, whole.records_metrics) == (True, False, False)
    assert (whole.healthcheck, whole.healthcheck_where) == ("constant", "predict.py:29")
    assert whole.loaded == ("self.pipe",)
    assert whole.inputs == (
        InputFact("prompt", "predict.py:21", number=False, described=True, bounded=False),
        InputFact("n", "predict.py:21", number=True, described=False, bounded=True),
        InputFact("x", "predict.py:21", number=True, described=False, bounded=False),
    )


@pytest.mark.parametrize(
    ("annotation", "default", "number", "bounded"),
    [
        ("int | None", "Input(default=None)", True, False),
        ("Optional[float]", "Input(default=None, ge=0)", True, True),
        ("list[int]", "Input()", False, False),
        ("Literal[1, 2]", "1", False, True),
        ("int", "Input(choices=[1, 2])", True, True),
        ("Path", "Input()", False, False),
    ],
)
def test_numbers_and_limits(tmp_path, annotation, default, number, bounded):
    source = f"class Predictor:\n    def predict(self, a: {annotation} = {default}) -> str:\n        return ''\n"
    (one,) = read(tmp_path, source).inputs
    assert (one.number, one.bounded) == (number, bounded)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return True", "constant"),
        ('"""Says yes."""\n        return True', "constant"),
        ("return self.thread.is_alive()", "checks"),
        ("self.touch()\n        return True", "checks"),
    ],
)
def test_health_checks(tmp_path, body, kind):
    source = f"class Predictor:\n    def predict(self): ...\n    def healthcheck(self):\n        {body}\n"
    assert read(tmp_path, source).healthcheck == kind


@pytest.mark.parametrize(
    ("source", "is_generator", "records"),
    [
        ("def predict(): yield 1", True, False),
        ("def predict():\n    def inner(): yield 1\n    return inner()", False, False),
        ("def predict(): cog.current_scope().record_metric('a', 1)", False, True),
        ("def predict(): scope.metrics['a'] = 1", False, True),
        ("def predict(): cog.emit_metric('a', 1)", False, True),
    ],
)
def test_a_predictor_that_is_a_function(tmp_path, source, is_generator, records):
    code = read(tmp_path, source, name="predict")
    assert (code.is_generator, code.records_metrics) == (is_generator, records)


def test_a_cached_function_is_guarded(tmp_path):
    source = """
        @functools.cache
        def model():
            return torch.load("a.pt")

        def predict():
            return model()
    """
    (load,) = [call for call in read(tmp_path, source, name="predict").calls if call.name == "torch.load"]
    assert load.guarded


def test_functions_that_call_each_other_come_to_an_end(tmp_path):
    source = "def predict():\n    return other()\ndef other():\n    return predict()\n"
    assert names(read(tmp_path, source, name="predict"), "predict") == {"predict.other", "predict.predict"}


def test_what_cannot_be_read(tmp_path):
    assert read(tmp_path, "def predict(:") is None
    assert read(tmp_path, "x = 1", name="Missing").where == "predict.py:1"
    # A module that is broken is left out, the rest is read.
    code = read(tmp_path, "import broken\ndef predict(): print()", name="predict", modules={"broken.py": "def"})
    assert names(code, "predict") == {"print"}

"""The openvino engine's two stages on real (tiny, random) models: one answer from either, and what takes over when."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
from pilotlight.engines.openvino.pipeline import add_request, open_pipeline
from pilotlight.engines.openvino.runtime import runtime
from pilotlight.engines.openvino.sampling_config import generation_config, rules_of
from pilotlight.engines.openvino.stateful import (
    BLOB_NAME,
    WEIGHTS_NAME,
    StageUnfitError,
    StatefulModel,
    compile_stateful,
    open_stateful,
)
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.staged import StagedBackend
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.errors import EngineError
from pilotlight.loading.files.artifacts import Artifact
from tests.engines.exported import ARCHITECTURES, exported_model, staged_model
from tests.logs import own_messages
from tests.paths import ROOT

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

DEMO = ROOT / "weights/pylight-5m"
WAIT_S = 120.0
VOCAB_SIZE = 10**6  # more than any of these models has: no top_k is cut by it
# The second is longer than a piece of a prompt.
PROMPTS = ("def main(args):", "The quick brown fox jumps " * 50, "one two", " x")
RULES: tuple[dict[str, Any], ...] = (
    {"temperature": 0},
    {"temperature": 0, "repetition_penalty": 1.3},
    {"temperature": 0, "repetition_penalty": 0.8},
    {"temperature": 0, "min_tokens": 40},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "top_p": 0.0},
    {"temperature": 0.7, "seed": 7},
    {"temperature": 1.0, "top_p": 1.0, "seed": 3},
    {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "seed": 1},
    {"temperature": 3.0, "top_k": 0, "top_p": 0.6, "seed": 2**31 - 1},
    {"temperature": 1.5, "top_k": 5, "top_p": 1.0, "repetition_penalty": 0.8, "min_tokens": 30, "seed": 2**53 + 5},
    {"temperature": 5.0, "top_k": 0, "top_p": 1.0, "min_tokens": 9, "seed": 11},
    {"temperature": 0, "stop": ("e", " t")},
    {"temperature": 0, "presence_penalty": 1.5},
    {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "presence_penalty": -1.0, "frequency_penalty": 0.4, "seed": 5},
)
Model = tuple[Path, Artifact]
Opener = Callable[..., OpenVINOEngine]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return staged_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens engines that are closed at the test's end, however it ends."""
    opened: list[OpenVINOEngine] = []
    before = set(threading.enumerate())

    def open_engine(model: Model, stages: Stages = Stages.BOTH, **kwargs: Any) -> OpenVINOEngine:
        opened.append(OpenVINOEngine(*model, stages=stages, **kwargs))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()
    left = set(threading.enumerate()) - before
    assert not [thread.name for thread in left if thread.name.startswith("pilotlight-")]


def outputs(engine: BackendEngine, **rules: Any) -> list[tuple[list[int], str]]:
    """(tokens, text) for every prompt, all submitted at once."""
    running = [engine.submit(GenerationRequest(prompt, Sampling(**{"max_tokens": 40, **rules}))) for prompt in PROMPTS]
    return [(generation.output_ids, text) for generation in running for text in [generation.text()]]


def staged(engine: OpenVINOEngine) -> StagedBackend:
    assert engine.stages is not None
    return engine.stages


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch != "mixtral"])
def test_either_stage_gives_the_same_tokens_sampled_ones_too(arch: str, tmp_path: Path, opener: Opener) -> None:
    model = staged_model(arch, tmp_path)
    first, batching = opener(model, Stages.FIRST), opener(model, Stages.BATCHING)
    for rules in RULES if arch == "llama" else (*RULES[:2], RULES[-1]):
        expected = outputs(batching, **rules)
        assert len({tuple(tokens) for tokens, _ in expected}) > 1, "a model that says one thing only shows nothing"
        assert outputs(first, **rules) == expected, rules


def test_a_model_that_the_runtime_cannot_open_again_gets_no_first_stage(tmp_path: Path) -> None:
    with pytest.raises(StageUnfitError, match="GatherMatmul"):
        staged_model("mixtral", tmp_path)
    assert not list(tmp_path.rglob(BLOB_NAME))


def test_a_crowd_is_handed_over_on_its_way_and_nobody_can_tell(llama: Model, opener: Opener) -> None:
    alone = outputs(opener(llama, Stages.BATCHING), temperature=0)
    engine = opener(llama, slots=4, queue_size=200)
    before = engine.info
    assert before.note
    assert before.slots == 4
    running = [
        engine.submit(GenerationRequest(PROMPTS[i % 4], Sampling(temperature=0, max_tokens=40))) for i in range(120)
    ]
    doomed = running[40::7]
    for generation in doomed:
        generation.cancel()
    for i, generation in enumerate(running):
        text = generation.text()
        if generation in doomed:
            assert alone[i % 4][1].startswith(text)
        else:
            assert (generation.output_ids, text) == alone[i % 4]
    assert staged(engine).wait_up(WAIT_S)
    after = engine.info
    assert not after.note
    assert 0 < after.cache_bytes < before.cache_bytes, "the first stage's memory is counted until it is gone"
    assert outputs(engine, temperature=0) == alone
    assert engine.healthy()


def test_the_first_stage_lets_go_of_its_model(llama: Model, opener: Opener) -> None:
    def models() -> int:
        gc.collect()
        return sum(type(thing) is StatefulModel for thing in gc.get_objects())  # isinstance() would wake up proxies

    before = models()
    engine = opener(llama)
    assert models() == before + 1
    engine.submit(GenerationRequest("one", Sampling(max_tokens=3))).text()
    assert staged(engine).wait_up(WAIT_S)
    assert models() == before
    for _ in range(2):
        engine.submit(GenerationRequest("one", Sampling(max_tokens=3, presence_penalty=1.0))).text()
    assert models() == before + 1, "one for all requests with penalties"


def test_a_request_that_runs_at_the_handover_ends_on_the_first_stage(llama: Model, opener: Opener) -> None:
    engine = opener(llama, slots=4)
    endless = GenerationRequest("def f(self):", Sampling(temperature=0, max_tokens=10**6, min_tokens=10**6))
    running, waiting = engine.submit(endless), engine.submit(GenerationRequest("one", Sampling(max_tokens=3)))
    assert staged(engine).wait_taken_over(WAIT_S)
    assert waiting.text()
    *_, last = running
    assert (last.finish, last.output_tokens) == (
        FinishReason.LENGTH,
        engine.info.context_tokens - len(running.prompt_ids),
    )
    assert staged(engine).wait_up(WAIT_S)


def test_a_cancel_reaches_the_first_stage_within_a_token(llama: Model, opener: Opener) -> None:
    engine = opener(llama, Stages.FIRST)
    running = engine.submit(GenerationRequest("one two", Sampling(max_tokens=400, min_tokens=400)))
    next(iter(running))  # a reader that goes away cancels
    tokens = len(running.output_ids)
    assert running.ended
    assert engine.submit(GenerationRequest("one two", Sampling(max_tokens=3))).text()
    assert len(running.output_ids) == tokens


def test_what_the_runtime_samples_wrongly_is_still_wrong(llama: Model, opener: Opener) -> None:
    """Were it not, these requests could be batched, too: no ``needs_fallback`` and no ``FallbackBackend``."""
    modules = runtime()
    first = opener(llama, Stages.FIRST)
    pipeline = open_pipeline(modules, llama[1].folder, precision="fp32", blocks=64, slots=4)
    prompt_ids = first.codec.encode("one two")

    def tokens(number: int, presence: float, *, given: float) -> tuple[list[int], list[int]]:
        """(the pipeline's, given that penalty, and ours)."""
        # High, so that tokens with scores below zero come, too.
        sampling = Sampling(
            seed=number, max_tokens=200, min_tokens=200, temperature=3.0, top_k=0, presence_penalty=presence
        )
        ours = first.submit(GenerationRequest("one two", sampling))
        ours.text()
        rules = rules_of(
            replace(sampling, presence_penalty=0), max_tokens=200, eos_ids=ours.eos_ids, vocab_size=VOCAB_SIZE
        )
        config = generation_config(modules.genai, rules, max_tokens=200, eos_ids=sorted(ours.eos_ids))
        config.presence_penalty = given
        handle = add_request(modules, pipeline, number, prompt_ids, config)
        while pipeline.has_non_finished_requests():
            pipeline.step()
        (output,) = handle.read_all()
        return list(output.generated_ids), ours.output_ids

    assert all(theirs == ours for theirs, ours in (tokens(n, 0, given=0) for n in range(8)))
    assert any(theirs != ours for theirs, ours in (tokens(n, 2, given=2) for n in range(8, 16)))
    assert any(theirs != ours for theirs, ours in (tokens(n, 2, given=-2) for n in range(16, 24))), "negated"


def test_penalties_take_memory_when_the_first_of_them_comes(
    llama: Model, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    engine = opener(llama, Stages.BATCHING)
    caplog.set_level("INFO")
    batching_bytes = engine.info.cache_bytes
    engine.submit(GenerationRequest("one", Sampling(max_tokens=3))).text()
    assert engine.info.cache_bytes == batching_bytes
    for _ in range(2):
        assert engine.submit(GenerationRequest("one", Sampling(max_tokens=3, frequency_penalty=0.5))).text()
    assert engine.info.cache_bytes > batching_bytes + (llama[1].folder / WEIGHTS_NAME).stat().st_size
    (line,) = own_messages(caplog)
    assert line.startswith("requests with presence_penalty or frequency_penalty are served one at a time")


def test_penalties_where_there_is_no_first_stage(tmp_path: Path, opener: Opener) -> None:
    engine = opener(exported_model("mixtral", tmp_path))
    rules: dict[str, Any] = {"temperature": 0, "presence_penalty": 100.0, "min_tokens": 40}
    expected = [tokens for tokens, _ in outputs(engine, temperature=0, min_tokens=40)]
    found = [tokens for tokens, _ in outputs(engine, **rules)]
    assert [tokens[0] for tokens in found] == [tokens[0] for tokens in expected], "nothing was in the output yet"
    assert all(len(set(tokens)) < 40 for tokens in expected)
    assert all(len(set(tokens)) == 40 for tokens in found), "nothing comes twice under such a penalty"


def test_penalties_at_the_handover_wait_for_the_first_stage_to_end(llama: Model, opener: Opener) -> None:
    rules = Sampling(temperature=0, max_tokens=30, presence_penalty=1.5)
    alone = opener(llama, Stages.FIRST).submit(GenerationRequest("one", rules)).text()
    engine = opener(llama, slots=4)
    endless = GenerationRequest("def f(self):", Sampling(max_tokens=10**6, min_tokens=10**6))
    running, *waiting = [engine.submit(endless), *(engine.submit(GenerationRequest("one", rules)) for _ in range(3))]
    assert staged(engine).wait_taken_over(WAIT_S)
    assert [generation.text() for generation in waiting] == [alone] * 3
    assert running.ended
    assert staged(engine).wait_up(WAIT_S)
    assert engine.submit(GenerationRequest("one", rules)).text() == alone


def test_a_processor_with_other_instructions_starts_without_what_was_compiled(llama: Model, opener: Opener) -> None:
    """The compiled model is of this processor, and a process that may not use all of it gives the same text."""
    rules = Sampling(temperature=0, max_tokens=20)
    expected = opener(llama).submit(GenerationRequest("one two", rules)).text()
    compiled = (llama[1].folder / BLOB_NAME).read_bytes()
    code = f"""
import logging
from pathlib import Path
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.openvino.engine import OpenVINOEngine
from pilotlight.loading.files.artifacts import Artifact
logging.basicConfig(level="INFO", format="%(message)s")
engine = OpenVINOEngine(Path({str(llama[0])!r}), Artifact(Path({str(llama[1].folder)!r}), "openvino", "fp32", "cpu"))
print(repr(engine.submit(GenerationRequest("one two", {rules!r})).text()))
penalized = engine.submit(GenerationRequest("one two", Sampling(temperature=0, max_tokens=20, presence_penalty=1.0)))
print(bool(penalized.text()))
engine.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    )
    assert done.stdout.splitlines() == [repr(expected), "True"]
    if b"isa=Intel AVX2" not in compiled:  # else this processor has no more than that
        assert "ready only when requests can be batched, because of first_stage.blob: " in done.stderr
        assert "mismatch" in done.stderr


def test_a_processor_that_computes_in_32_bits_gives_one_text_from_either_stage() -> None:
    """An artifact of 16 bits, computed as it is where there is no fast bfloat16."""
    slow = replace(runtime(), fast="f32")
    artifact = DEMO / "openvino-bf16-cpu"
    codec = TokenizerCodec(DEMO)
    prompt_ids = codec.encode("def main(args):")
    rules = rules_of(Sampling(temperature=0), max_tokens=40, eos_ids=(), vocab_size=VOCAB_SIZE)
    config = generation_config(slow.genai, rules, max_tokens=40, eos_ids=())
    pipeline = open_pipeline(slow, artifact, precision="bf16", blocks=8, slots=1)
    handle = add_request(slow, pipeline, 1, prompt_ids, config)
    while pipeline.has_non_finished_requests():
        pipeline.step()
    (output,) = handle.read_all()
    model = open_stateful(slow, artifact, "bf16")
    scores, found = model.scores(prompt_ids), []
    for _ in range(40):
        found.append(int(scores.argmax()))
        scores = model.scores(found[-1:])
    assert found == list(output.generated_ids)


@pytest.mark.parametrize("busy", [False, True])
def test_closing_while_the_second_stage_comes_up(llama: Model, opener: Opener, busy: bool) -> None:
    engine = opener(llama)
    generations = [
        engine.submit(GenerationRequest("one", Sampling(max_tokens=500, min_tokens=500))) for _ in range(2 * busy)
    ]
    engine.close()
    for generation in generations:
        with pytest.raises(EngineError, match="closed"):
            generation.text()
    assert not engine.healthy()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [(b"ov=2026", b"ov=1999", "OpenVINO version/isa mismatch"), (b"isa=", b"isa:", "mismatch"), (b"", b"", BLOB_NAME)],
)
def test_a_first_stage_of_another_machine_is_done_without_and_the_log_says_why(
    tmp_path: Path, opener: Opener, caplog: pytest.LogCaptureFixture, old: bytes, new: bytes, reason: str
) -> None:
    model = staged_model("llama", tmp_path)
    blob = model[1].folder / BLOB_NAME
    blob.write_bytes(blob.read_bytes().replace(old, new, 1) if old else b"")
    caplog.set_level("INFO")
    engine = opener(model)
    assert not engine.info.note
    assert engine.submit(GenerationRequest("one", Sampling(max_tokens=3))).text()
    (line,) = [line for line in own_messages(caplog) if not line.startswith("memory: ")]
    assert line.startswith("ready only when requests can be batched, because of ")
    assert reason in line
    with pytest.raises(StageUnfitError, match=reason):
        opener(model, Stages.FIRST)


def test_an_artifact_without_a_first_stage_and_a_folder_that_cannot_be_written_to(
    tmp_path: Path, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    model, artifact = exported_model("llama", tmp_path)
    caplog.set_level("INFO")
    assert opener((model, artifact)).submit(GenerationRequest("one", Sampling(max_tokens=3))).text()
    assert f"has no {BLOB_NAME}" in caplog.text
    compile_stateful(runtime(), artifact.folder, artifact.precision)
    before = sorted(model.rglob("*"))
    for path in (artifact.folder, model):
        path.chmod(0o555)
    engine = opener((model, artifact))
    assert staged(engine).starting
    assert engine.submit(GenerationRequest("one", Sampling(max_tokens=3))).text()
    assert staged(engine).wait_up(WAIT_S)
    for path in (artifact.folder, model):
        path.chmod(0o755)
    assert sorted(model.rglob("*")) == before, "a start writes nothing into the model"

"""Compares a language model's artifact with its source: bits per byte of texts, and greedy outputs."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pilotlight.engines.samples.texts import SampleText
from pilotlight.engines.select import open_artifact
from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.protocol import Engine
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.files.manifest import ArtifactCheck, KindCheck
from pilotlight.loading.progress import Silent

__all__ = ["agreement", "check", "require_enough"]

# Enough to see a percent, and seconds of work for a model of 100 million parameters.
CHECK_TOKENS = 4096
MIN_TOKENS = 256
WINDOW_TOKENS = 512
PROMPTS = 9
PROMPT_CHARS = 200
GREEDY_TOKENS = 32
SourceEngine = Literal["torch", "openvino"]
Outputs = list[tuple[list[int], list[int]]]  # (prompt, output) of each prompt, in tokens


def check(
    model: Path, artifact: Artifact, texts: Sequence[SampleText], *, source_engine: SourceEngine | None = None
) -> ArtifactCheck:
    """Compare ``artifact`` with ``model`` computed in float32; ``require_enough`` has accepted the texts.

    Of several kinds of text the model is judged by its own: chats where it has a chat template, else the kind on which
    the source spends the fewest bits per byte.

    An artifact of the openvino engine gets its first stage here, compiled by the runtime that will serve it.

    Args:
        model: the model folder.
        artifact: made from it.
        texts: to read; with several, each has its kind.
        source_engine: what computes the model; default: torch where it is installed, else openvino, with a float32
            model that is built for it.

    Raises:
        UnsupportedModelError: torch is not installed, and the builder does not know this model.
        WeightsError: the model's tokenizer gives other tokens without transformers.
    """
    codec = TokenizerCodec(model)
    facts = read_facts(model, codec)
    size = min(WINDOW_TOKENS, facts.context_tokens - 1)
    parts = [_Part.read_from(text, codec, CHECK_TOKENS // len(texts), size) for text in texts]
    windows = [window for part in parts for window in part.windows]
    prompts = [prompt for text in texts for prompt in _prompts(text.content, PROMPTS // len(texts))]
    ours = _artifact_probabilities(artifact, windows, facts.vocab_size)
    engine = open_artifact(model, artifact, slots=PROMPTS, queue_size=PROMPTS)
    greedy = _greedy(engine, prompts)
    engine.close()
    early = _first_stage_greedy(model, artifact, prompts)
    by: SourceEngine = source_engine or ("torch" if find_spec("torch") else "openvino")
    compute = _torch_source if by == "torch" else _openvino_source
    theirs, reference = compute(model, windows, prompts)
    _require_same_tokens(reference, greedy)
    kinds = _figures(parts, theirs, ours)
    own = _own_kind(kinds, has_template=codec.chat_template is not None)
    return ArtifactCheck(
        **own.model_dump(exclude={"kind"}),
        greedy_tokens=sum(len(output) for _, output in reference),
        greedy_agreement=_agreement(reference, greedy),
        stages_agreement=None if early is None else _agreement(greedy, early),
        source_engine=by,
        judged_by=own.kind if len(kinds) > 1 else None,
        kinds=tuple(kinds) if len(kinds) > 1 else None,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A text as it is read.

    Attributes:
        text: that it is of.
        read: the bytes of it that are read.
        windows: tokens that are read at once, without those before them.
    """

    text: SampleText
    read: bytes
    windows: list[list[int]]

    @classmethod
    def read_from(cls, text: SampleText, codec: TokenizerCodec, tokens: int, window: int) -> _Part:
        ids = codec.encode(text.content, special_tokens=False)[:tokens]
        windows = [ids[at : at + window] for at in range(0, len(ids), window)]
        return cls(text, codec.decode(ids).encode(), [one for one in windows if len(one) > 1])


def _figures(parts: Sequence[_Part], theirs: list[list[float]], ours: list[list[float]]) -> list[KindCheck]:
    """Return the figures of each part; ``theirs`` and ``ours`` have the windows of all parts in a row."""
    found, start = [], 0
    for part in parts:
        end = start + len(part.windows)
        found.append(
            KindCheck(
                kind=part.text.kind or "prose",
                text=part.text.description,
                text_sha256=hashlib.sha256(part.read).hexdigest(),
                tokens=sum(len(window) - 1 for window in part.windows),
                source_bits_per_byte=_bits(theirs[start:end]) / len(part.read),
                artifact_bits_per_byte=_bits(ours[start:end]) / len(part.read),
            )
        )
        start = end
    return found


def _own_kind(kinds: Sequence[KindCheck], *, has_template: bool) -> KindCheck:
    """Return the figures of the kind of text that the model is for."""
    chats = [one for one in kinds if one.kind == "chat"] if has_template else []
    return chats[0] if chats else min(kinds, key=lambda one: one.source_bits_per_byte)


def require_enough(model: Path, texts: Sequence[SampleText]) -> None:
    """Refuse texts of which one is too short.

    Raises:
        UsageError: it is too short for the check.
        WeightsError: the model has no tokenizer that can be read without transformers.
    """
    codec = TokenizerCodec(model)
    for text in texts:
        tokens = len(codec.encode(text.content, special_tokens=False))
        if tokens < MIN_TOKENS:
            raise UsageError(
                f"{text.description} is too short for the check: it has {tokens} tokens, and {MIN_TOKENS} are needed"
            )


def agreement(reference: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> float:
    """Return the share of the reference's tokens that come before the first difference of their output."""
    same = 0
    for expected, found in zip(reference, outputs, strict=True):
        pairs = zip(expected, found, strict=False)
        same += next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(found)))
    total = sum(len(expected) for expected in reference)
    return same / total if total else 1.0


def _agreement(reference: Outputs, found: Outputs) -> float:
    return agreement([output for _, output in reference], [output for _, output in found])


def _artifact_probabilities(artifact: Artifact, windows: list[list[int]], vocab_size: int) -> list[list[float]]:
    # Imported here: each engine brings its own heavy packages.
    if artifact.engine == "onnx":
        from pilotlight.engines.onnx import logprobs as onnx_logprobs

        return onnx_logprobs.log_probabilities(artifact.folder, windows)
    from pilotlight.engines.openvino import pipeline as openvino_pipeline
    from pilotlight.engines.openvino import runtime as openvino_runtime

    return openvino_pipeline.log_probabilities(
        openvino_runtime.runtime(), artifact.folder, windows, precision=artifact.precision, vocab_size=vocab_size
    )


def _first_stage_greedy(model: Path, artifact: Artifact, prompts: list[str]) -> Outputs | None:
    """Return the first stage's outputs, after compiling it; ``None`` where the artifact can have none."""
    if artifact.engine != "openvino":
        return None
    from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
    from pilotlight.engines.openvino.runtime import runtime
    from pilotlight.engines.openvino.stateful import StageUnfitError, compile_stateful

    try:
        compile_stateful(runtime(), artifact.folder, artifact.precision)
    except StageUnfitError:
        return None
    engine = OpenVINOEngine(model, artifact, slots=1, queue_size=PROMPTS, stages=Stages.FIRST)
    outputs = _greedy(engine, prompts)
    engine.close()
    return outputs


def _torch_source(model: Path, windows: list[list[int]], prompts: list[str]) -> tuple[list[list[float]], Outputs]:
    """Return what torch makes of the windows and the prompts."""
    from pilotlight.engines.torch import logprobs as torch_logprobs
    from pilotlight.engines.torch.engine import TorchEngine
    from pilotlight.engines.torch.load import load

    loaded = load(model, device="cpu", dtype="float32")
    probabilities = [torch_logprobs.log_probabilities(loaded.model, window) for window in windows]
    engine = TorchEngine(model, device="cpu", dtype="float32", slots=PROMPTS)
    outputs = _greedy(engine, prompts)
    engine.close()
    return probabilities, outputs


def _openvino_source(model: Path, windows: list[list[int]], prompts: list[str]) -> tuple[list[list[float]], Outputs]:
    """Return what a float32 artifact, built for this and removed after it, makes of the windows and the prompts."""
    from pilotlight.loading.export.graph.build import graph_files

    vocab_size = read_facts(model, TokenizerCodec(model)).vocab_size
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as scratch:
        built = Artifact(Path(scratch) / "fp32", "openvino", "fp32", "cpu")
        graph_files([(model, built.folder)], built.precision, {}, Silent())
        probabilities = _artifact_probabilities(built, windows, vocab_size)
        engine = open_artifact(model, built, slots=PROMPTS, queue_size=PROMPTS)
        outputs = _greedy(engine, prompts)
        engine.close()
    return probabilities, outputs


def _greedy(engine: Engine, prompts: list[str]) -> Outputs:
    """Return (prompt, output) of each prompt in tokens, computed together."""
    rules = Sampling(temperature=0, max_tokens=GREEDY_TOKENS)
    running = [engine.submit(GenerationRequest(prompt, rules)) for prompt in prompts]
    for generation in running:
        generation.text()
    return [(generation.prompt_ids, generation.output_ids) for generation in running]


def _require_same_tokens(reference: Outputs, found: Outputs) -> None:
    for (expected, _), (prompt, _) in zip(reference, found, strict=True):
        if expected != prompt:
            at = next((i for i, (a, b) in enumerate(zip(expected, prompt, strict=False)) if a != b), None)
            at = min(len(expected), len(prompt)) if at is None else at
            raise WeightsError(
                "without transformers this model's tokenizer gives other tokens for the same text: "
                f"{len(prompt)} for {len(expected)}, which differ from token {at} on ({_around(prompt, at)} for "
                f"{_around(expected, at)}); serve it with the torch engine"
            )


def _around(tokens: Sequence[int], at: int) -> str:
    """Return the tokens from one before ``at`` on, as many as say what differs."""
    return str(list(tokens[max(0, at - 1) : at + 4]) or "nothing")


def _prompts(content: str, count: int) -> list[str]:
    """Return so many prompts from all parts of the text."""
    step = max(1, len(content) // count)
    pieces = [content[at : at + PROMPT_CHARS].strip() for at in range(0, len(content), step)][:count]
    return [piece for piece in pieces if piece]


def _bits(windows: list[list[float]]) -> float:
    return -sum(sum(window) for window in windows) / math.log(2)

"""The check of an artifact: whichever engine computes the source, on each kind of text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.engines.quality_text import check, require_enough
from pilotlight.engines.samples.texts import SampleText, english, own_texts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.errors import UsageError
from tests.built import built, make_family

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
REFUSES = "{% for m in messages %}{{ raise_exception('no') if m.role == 'system' else m.content }}{% endfor %}"
CHARS = 1200


def short_texts(model: Path) -> list[SampleText]:
    return [replace(text, content=text.content[:CHARS]) for text in own_texts(TokenizerCodec(model))]


def test_torch_and_openvino_agree_on_the_source(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    artifact = built(model, "int8")
    ours = check(model, artifact, short_texts(model), source_engine="openvino")
    theirs = check(model, artifact, short_texts(model))
    assert (theirs.source_engine, ours.source_engine) == ("torch", "openvino")
    assert ours.source_bits_per_byte == pytest.approx(theirs.source_bits_per_byte, rel=1e-5)
    assert ours.artifact_bits_per_byte == theirs.artifact_bits_per_byte
    assert ours.text_sha256 == theirs.text_sha256
    assert ours.kinds is not None
    # Without a chat template it is judged by the text that it knows best.
    assert ours.judged_by == min(ours.kinds, key=lambda one: one.source_bits_per_byte).kind


def test_each_kind_of_text_has_figures_and_a_chat_model_is_judged_by_chats(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    (model / "chat_template.jinja").write_text(TEMPLATE)
    texts = short_texts(model)
    assert texts[1].content.startswith("<user>Why do leaves change colour in autumn?\n<assistant>Leaves are green")
    found = check(model, built(model, "int8"), texts, source_engine="openvino")
    assert found.kinds is not None
    figures = {one.kind: one for one in found.kinds}
    assert (list(figures), found.judged_by) == (["prose", "chat", "code"], "chat")
    own = figures["chat"]
    assert (found.text, found.text_sha256, found.tokens, found.loss) == (
        own.text,
        own.text_sha256,
        own.tokens,
        own.loss,
    )
    assert len({one.text_sha256 for one in found.kinds}) == 3
    assert sum(one.tokens for one in found.kinds) > 500


def test_a_template_without_instructions_gets_none(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    (model / "chat_template.jinja").write_text(REFUSES)
    (chats,) = [one.content for one in own_texts(TokenizerCodec(model)) if one.kind == "chat"]
    assert "A shirt costs 40 euros" in chats
    assert "patient maths tutor" not in chats


def test_a_model_without_a_template_reads_chats_as_a_script(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    texts = own_texts(TokenizerCodec(model))
    require_enough(model, texts)
    assert "System: You are a patient maths tutor." in texts[1].content
    assert "\n\nAssistant: Let's go step by step." in texts[1].content


def test_texts_of_which_one_is_too_short_are_refused(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    with pytest.raises(UsageError, match="a word is too short for the check: it has"):
        require_enough(model, [english(), SampleText("a word", "word")])

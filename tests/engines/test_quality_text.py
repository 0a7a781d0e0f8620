"""The check of an artifact: it says the same whether torch or openvino computes the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.cli.model.export import own_source
from pilotlight.engines.quality_text import SampleText, check
from tests.built import built, make_family


def test_torch_and_openvino_agree_on_the_source(tmp_path: Path) -> None:
    model = make_family("llama", tmp_path)
    artifact = built(model, "int8")
    text = SampleText("pilotlight's own source", own_source()[:4000])
    ours = check(model, artifact, text, source_engine="openvino")
    theirs = check(model, artifact, text)
    assert (theirs.source_engine, ours.source_engine) == ("torch", "openvino")
    assert ours.source_bits_per_byte == pytest.approx(theirs.source_bits_per_byte, rel=1e-5)
    assert ours.artifact_bits_per_byte == theirs.artifact_bits_per_byte
    assert ours.text_sha256 == theirs.text_sha256

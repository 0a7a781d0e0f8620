from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import FetchError, UnsafeWeightsError, WeightsError
from pilotlight.loading.files.names import choose_files, safe_name

LLAMA = [
    ".gitattributes",
    "LICENSE.txt",
    "README.md",
    "USE_POLICY.md",
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "onnx/model.onnx",
    "original/consolidated.00.pth",
    "pytorch_model.bin",
    "special_tokens_map.json",
    "tf_model.h5",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
]


def test_takes_safetensors_and_what_lies_beside_them() -> None:
    assert choose_files(LLAMA, source="hf://a/b") == [
        "LICENSE.txt",
        "README.md",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["model.safetensors", "model.fp16.safetensors"], ["model.safetensors"]),
        (["model.safetensors", "consolidated.safetensors"], ["model.safetensors"]),
        (["consolidated.safetensors", "model-1-of-1.safetensors"], ["model-1-of-1.safetensors"]),
        (["model.fp16.safetensors"], ["model.fp16.safetensors"]),
    ],
)
def test_takes_the_weights_once(names: list[str], left: list[str]) -> None:
    assert choose_files(names, source="hf://a/b") == left


def test_takes_the_modules_of_a_sentence_transformer() -> None:
    names = ["modules.json", "config.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors"]
    assert choose_files([*names, "onnx/config.json", "2_Dense/pytorch_model.bin"], source="hf://a/b") == sorted(names)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "x.ckpt", "x.pkl", "x.h5", "x.msgpack"])
def test_refuses_pickles_and_says_what_to_do(name: str) -> None:
    with pytest.raises(
        UnsafeWeightsError, match=rf"hf://a/b has its weights only as pickles \({name}\).*save_pretrained"
    ):
        choose_files(["config.json", name], source="hf://a/b")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "it is empty"),
        (["config.json"], r"no \*\.safetensors file \(config.json\)"),
        (["a.gguf", "b.gguf"], r"has 2 GGUF files \(a.gguf, b.gguf\): name one of them, such as hf://a/b#a.gguf"),
        (["mmproj-model.gguf"], r"no \*\.safetensors file"),
        (["unet/model.safetensors"], "only in sub-folders"),
        (["model_index.json", "unet/model.safetensors"], "is a diffusers pipeline"),
        (["consolidated.safetensors"], r"only as consolidated\.safetensors"),
        (["adapter_config.json", "adapter_model.safetensors"], "is an adapter .* without its model"),
        (["adapter_config.json", "adapter_model.bin"], "is an adapter .* without its model"),
        (["model.fp16.safetensors", "model.bf16.safetensors"], "has 2 weight files and no model.safetensors.index"),
        (["model-1-of-3.safetensors", "model-3-of-3.safetensors"], r"lacks 1 of 3 shards \(number 2\)"),
    ],
)
def test_refuses_what_has_no_weights_for_us(names: list[str], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        choose_files(names, source="hf://a/b")


def test_one_gguf_file_is_taken_and_safetensors_before_it() -> None:
    assert choose_files(["README.md", "a.gguf", "mmproj-a.gguf"], source="hf://a/b") == ["a.gguf"]
    assert choose_files(["config.json", "model.safetensors", "a.gguf"], source="hf://a/b") == [
        "config.json",
        "model.safetensors",
    ]


def test_the_gguf_file_that_is_named_is_taken_with_its_parts() -> None:
    parts = ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]
    names = ["model.safetensors", "b.gguf", *parts]
    assert choose_files(names, source="hf://a/b", only="b.gguf") == ["b.gguf"]
    assert choose_files(names, source="hf://a/b", only=parts[1]) == parts
    with pytest.raises(WeightsError, match=r"no such file\. GGUF files there: a-00001-of-00002\.gguf, b\.gguf"):
        choose_files(names, source="hf://a/b", only="c.gguf")
    with pytest.raises(WeightsError, match="not a GGUF file"):
        choose_files(names, source="hf://a/b", only="model.safetensors")


@pytest.mark.parametrize(
    "name", ["config.json", "a b.safetensors", "gewichte-ä.safetensors", "1_Pooling/config.json", "模型"]
)
def test_a_good_name_is_safe(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../up.safetensors",
        "a/../../up",
        "a//b",
        "./a",
        ".hidden",
        "a/.b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a\u202eb",  # writes backwards on a terminal
        "manifest.json",
        "x.part",
        "x.part.json",
        "x" * 300,
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(FetchError, match="not a safe file name"):
        safe_name(name)


@given(st.text(alphabet="./\\ab \n\x00é", min_size=1, max_size=12))
def test_what_passes_stays_in_its_folder(name: str) -> None:
    root = Path("/models/one")
    try:
        path = root / safe_name(name)
    except FetchError:
        return
    assert root in path.parents
    assert ".." not in path.parts


def test_a_traversal_among_the_chosen_stops_everything() -> None:
    with pytest.raises(FetchError, match="safe"):
        choose_files(["model.safetensors", "tokenizer\n.json"], source="hf://a/b")

"""Whether a model folder has a tokenizer: without one transformers opens an empty vocabulary for some models."""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from pilotlight.errors import WeightsError
from pilotlight.loading.files.json_files import read_json

__all__ = ["require_tokenizer"]

FAST = "tokenizer.json"
# Each of these holds a vocabulary.
VOCABULARIES = (FAST, "*.model", "vocab.json", "vocab.txt", "vocab.bpe", "*.tiktoken", "tekken.json", "*vocab*.json")
# Tokenizers whose vocabulary is the bytes or the characters themselves.
WITHOUT_FILES = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer", "MyT5Tokenizer")


def require_tokenizer(folder: Path) -> None:
    """Refuse a model whose tokenizer is missing, or cannot be read with the packages that are installed.

    Raises:
        WeightsError: naming the files or the package.
    """
    names = [path.name for path in folder.iterdir() if path.is_file()]
    found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in VOCABULARIES)]
    if not found and _class(folder) not in WITHOUT_FILES:
        raise WeightsError(
            f"{folder} has no tokenizer ({FAST}, tokenizer.model, vocab.json with merges.txt, or vocab.txt): copy it "
            "from the model that this one was made from"
        )
    pieces = sorted(name for name in found if name.endswith(".model"))
    if pieces and found == pieces and find_spec("sentencepiece") is None:
        raise WeightsError(
            f"{folder} has its tokenizer only as {pieces[0]}, which needs a package that is not installed: pip "
            f"install sentencepiece protobuf, or take a copy of the model with {FAST}"
        )


def _class(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    named = str(read_json(path).get("tokenizer_class")) if path.is_file() else ""
    return named.removesuffix("Fast")

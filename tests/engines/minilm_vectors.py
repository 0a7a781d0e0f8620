"""What all-MiniLM-L6-v2 gives for real sentences, computed plainly with transformers.

from tests.engines.minilm_vectors import SENTENCES, cosines, expected_vectors, vectors

SENTENCES: 50 of many lengths, the first three ones of which the first two mean the same
expected_vectors() -> torch.Tensor: each sentence alone, the mean of its tokens' states, of length 1
vectors(engine, sentences, at_once) -> torch.Tensor: the same by an engine, so many sentences at once
cosines(a, b) -> torch.Tensor: row by row
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from transformers import AutoModel, AutoTokenizer

from pilotlight.engines.encoders.scores import unit
from pilotlight.engines.encoders.types import EncoderEngine, TextRequest
from tests.real_models import minilm

__all__ = ["SENTENCES", "cosines", "expected_vectors", "vectors"]

SUBJECTS = (
    ("How do I reset my password?", "I forgot my login, how can I get a new password?"),
    ("The recipe needs two eggs and a cup of flour.", "Beat two eggs into a cup of flour for this dish."),
    ("Our train to Vienna was an hour late.", "We reached Vienna an hour after the train was due."),
    ("The company raised its forecast for the year.", "Annual earnings guidance was increased by the firm."),
    ("A dog is running along the beach.", "On the shore, a dog runs."),
)
SINGLES = (
    "Yes.",
    "Snow!",
    "What time is it?",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "def connect(self, host, port): return socket.create_connection((host, port))",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "Prices rose by 3.2 % in March, after 2.9 % in February \u2014 more than analysts had expected.",
    "She opened the old wooden door, stepped into the garden and listened to the rain on the leaves of the chestnut.",
)
SENTENCES = [
    SUBJECTS[0][0],
    SUBJECTS[0][1],
    SUBJECTS[1][0],
    SUBJECTS[1][1],
    *(text for pair in SUBJECTS[2:] for text in pair),
    *SINGLES,
    *(" ".join(SINGLES[i % 8 : i % 8 + 2] + (SUBJECTS[i % 5][i % 2],) * (i % 4 + 1)) for i in range(30)),
    " ".join(SINGLES[3:] * 5),  # longer than the 256 tokens that its files allow
    "word " * 40,
]
MAX_TOKENS = 256


@cache
def expected_vectors() -> torch.Tensor:
    """See the top of this file."""
    model = AutoModel.from_pretrained(minilm(), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    found = []
    with torch.inference_mode():
        for text in SENTENCES:
            inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)
            found.append(torch.nn.functional.normalize(model(**inputs).last_hidden_state[0].mean(0), dim=0))
    return torch.stack(found)


def vectors(engine: EncoderEngine, sentences: Sequence[str], at_once: int) -> torch.Tensor:
    """See the top of this file."""
    found = []
    for at in range(0, len(sentences), at_once):
        futures = engine.submit([TextRequest(text) for text in sentences[at : at + at_once]])
        found += [unit(future.result(120).values) for future in futures]
    return torch.tensor(found)


def cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """See the top of this file."""
    return (a * b).sum(1)

"""Where the words are."""

from pathlib import Path

FILE = Path(__file__).with_name("model.safetensors")


def read_vocabulary() -> bytes:
    return FILE.read_bytes()

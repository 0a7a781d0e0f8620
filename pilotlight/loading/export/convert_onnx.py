"""A model folder as ONNX, by onnxruntime-genai's model builder.

Run by ``environment``'s Python, which has packages that ours need not have:

    python -I convert_onnx.py PRECISION MODEL OUT [MODEL OUT ...]

Says on stdout what it does, one line each.  Uses nothing of pilotlight.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import tempfile
from pathlib import Path

# The graph, its weights, and the builder's description of both; what else it writes is in the model folder already.
FILES = ("model.onnx", "model.onnx.data", "genai_config.json")
PACKAGES = ("onnxruntime-genai", "onnxruntime", "onnx", "torch", "transformers")
# Scores of the last token only, for nobody asks for those of a prompt's other tokens; and no account at a hub.
OPTIONS = ("prune_lm_head=true", "hf_token=false")


def main(precision: str, *folders: str) -> None:
    print("note importing the exporter", flush=True)
    for model, out in zip(folders[::2], folders[1::2], strict=True):
        print(f"note converting {Path(model).name} to {precision}", flush=True)
        try:
            # What the builder prints goes to stderr, which is the log.
            with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory(dir=Path(out).parent) as scratch:
                convert(Path(model), Path(out), precision, scratch)
        except Exception as error:  # whatever it is, the reason goes to whoever started us
            print(f"error {Path(model).name}: {reason(error)}", flush=True)
            raise
    for package in PACKAGES:
        print(f"version {package} {importlib.metadata.version(package)}", flush=True)


def convert(model: Path, out: Path, precision: str, scratch: str) -> None:
    """Write the artifact's files into ``out``, which is made."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    names = ("", str(model), str(out), precision, "cpu", scratch)
    create_model(*names, **parse_extra_options(*names, list(OPTIONS)))
    for path in out.iterdir():
        if path.name not in FILES:
            path.unlink()


def reason(error: Exception) -> str:
    """The error in a line; of a missing key and the like the message alone says nothing."""
    words = " ".join(str(error).split())
    return words if " " in words else f"{type(error).__name__} {words}"


if __name__ == "__main__":
    main(*sys.argv[1:])

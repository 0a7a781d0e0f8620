"""An encoder's folder as OpenVINO IR: ``convert_openvino`` for models that classify or embed.

Run by ``environment``'s Python, which has other packages than ours has:

    python -I convert_encoder.py PRECISION MODEL OUT [MODEL OUT ...]

Says on stdout what it does, in ``convert_openvino``'s words.  Uses nothing of pilotlight but that script.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

CLASSIFIER = "ForSequenceClassification"


def main(*arguments: str) -> None:
    sys.path.append(str(Path(__file__).parent))  # -I leaves it out; last, so that none of its names hides another's
    script: Any = importlib.import_module("convert_openvino")
    script.convert = convert
    script.main(*arguments)


def convert(model: Path, out: Path, precision: str) -> None:
    """Write the artifact's files into ``out``, which is made."""
    import torch
    from optimum.exporters.openvino import main_export
    from optimum.intel.openvino import OVConfig

    script: Any = importlib.import_module("convert_openvino")
    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16}
    names = json.loads((model / "config.json").read_text("utf-8")).get("architectures") or [""]
    scratch = out / "scratch"  # within, so that whoever clears up after us has one folder to remove
    scratch.mkdir(parents=True)
    with script.quiet():
        main_export(
            str(model),
            scratch,
            task="text-classification" if names[0].endswith(CLASSIFIER) else "feature-extraction",
            # Without this a folder of sentence-transformers is exported with its own pooling.
            library_name="transformers",
            ov_config=OVConfig(dtype="fp16" if precision == "fp16" else "fp32"),
            model_loading_kwargs={"torch_dtype": kinds.get(precision, torch.float32)},
            local_files_only=True,
            convert_tokenizer=False,
        )
        source = scratch / "openvino_model.xml"
        if precision in ("int8", "int4"):
            script.compress(source, out / source.name, precision)
        else:
            for name in script.FILES:
                (scratch / name).rename(out / name)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main(*sys.argv[1:])

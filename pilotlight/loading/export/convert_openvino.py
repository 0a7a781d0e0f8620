"""A model folder as OpenVINO IR.

Run by ``environment``'s Python, which has other packages than ours has:

    python -I convert_openvino.py PRECISION MODEL OUT [MODEL OUT ...]

Says on stdout what it does, one line each.  Uses nothing of pilotlight.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Both parts of the intermediate representation; whatever else the exporter writes is in the model folder already, or
# names paths of this machine.
FILES = ("openvino_model.xml", "openvino_model.bin")
PACKAGES = ("optimum-intel", "nncf", "openvino", "torch", "transformers")
# A group must divide a row; 64 does for most shapes, and keeps more of the weights than the exporter's default of 128.
INT4_GROUP = 64


def main(precision: str, *folders: str) -> None:
    print("note importing the exporter", flush=True)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its maker need not hear of this
    for model, out in zip(folders[::2], folders[1::2], strict=True):
        print(f"note converting {Path(model).name} to {precision}", flush=True)
        try:
            convert(Path(model), Path(out), precision)
        except Exception as error:  # whatever it is, the reason goes to whoever started us
            print(f"error {Path(model).name}: {' '.join(str(error).split())}", flush=True)
            raise
    for package in PACKAGES:
        print(f"version {package} {importlib.metadata.version(package)}", flush=True)


def convert(model: Path, out: Path, precision: str) -> None:
    """Write the artifact's files into ``out``, which is made."""
    import torch
    from optimum.exporters.openvino import main_export
    from optimum.intel.openvino import OVConfig

    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16}
    scratch = out / "scratch"  # within, so that whoever clears up after us has one folder to remove
    scratch.mkdir(parents=True)
    with quiet():
        main_export(
            str(model),
            scratch,
            task="text-generation-with-past",
            # An explicit configuration, for without one the exporter quantizes whatever is large.
            ov_config=OVConfig(dtype="fp16" if precision == "fp16" else "fp32"),
            model_loading_kwargs={"torch_dtype": kinds.get(precision, torch.float32)},
            local_files_only=True,
            convert_tokenizer=False,
        )
        source = scratch / "openvino_model.xml"
        if precision in ("int8", "int4"):
            compress(source, out / source.name, precision)
        else:
            for name in FILES:
                (scratch / name).rename(out / name)
    shutil.rmtree(scratch)


def compress(source: Path, target: Path, precision: str) -> None:
    """Quantize the weights of ``source``, and nothing else."""
    import nncf
    import openvino

    modes: dict[str, dict[str, Any]] = {
        "int8": {"mode": nncf.CompressWeightsMode.INT8_ASYM},
        "int4": {
            "mode": nncf.CompressWeightsMode.INT4_ASYM,
            "group_size": INT4_GROUP,
            "advanced_parameters": nncf.AdvancedCompressionParameters(
                group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST
            ),
        },
    }
    quantized = nncf.compress_weights(openvino.Core().read_model(source), **modes[precision])
    openvino.save_model(quantized, target, compress_to_fp16=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Whatever is printed in this context goes to stderr, which is the log."""
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout


if __name__ == "__main__":
    main(*sys.argv[1:])

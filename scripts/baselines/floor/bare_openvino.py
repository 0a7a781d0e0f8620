#!/usr/bin/env python
"""The least that OpenVINO needs to the first token: its import, the artifact, one forward pass, and nothing else.

No server, no tokenizer, no continuous batching: the model as the exporter wrote it, compiled with a cache, which holds
the compiled model from the second run on. Prints one line of JSON with the stages and the time of the first output, on
the monotonic clock, and the token.

    python scripts/baselines/floor/bare_openvino.py .cache/models/llama-135m/openvino-int8-cpu --cache /tmp/blobs
"""

import time

BEGAN = time.monotonic()

import argparse  # noqa: E402 - the clock comes first
import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

# The conversion tools: openvino's own __init__ allows for their absence.
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]  # so the import system wants it

import numpy as np  # noqa: E402
import openvino  # noqa: E402

IMPORTED = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path, help="a folder with openvino_model.xml")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the compiled model")
    parser.add_argument("--ids", type=lambda text: list(map(int, text.split(","))), default=[1, 2, 3, 4])
    args = parser.parse_args()
    began_s = time.monotonic()
    core = openvino.Core()
    core.set_property({"CACHE_DIR": str(args.cache)})
    compiled = core.compile_model(args.artifact / "openvino_model.xml", "CPU")
    compiled_s = time.monotonic()
    ids = np.array([args.ids], dtype=np.int64)
    given = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(ids.shape[1], dtype=np.int64)[None],
        "beam_idx": np.zeros(1, dtype=np.int32),
    }
    request = compiled.create_infer_request()
    known = {name for port in compiled.inputs for name in port.get_names()}
    request.infer({name: value for name, value in given.items() if name in known})
    token = int(request.get_output_tensor(0).data[0, -1].argmax())
    done_s = time.monotonic()
    stages = [("imports", BEGAN, IMPORTED), ("compile", began_s, compiled_s), ("first_prediction", compiled_s, done_s)]
    print(json.dumps({"stages": stages, "first_output": done_s, "token": token}))


if __name__ == "__main__":
    main()

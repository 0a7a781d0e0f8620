#!/usr/bin/env python
"""The least that torch needs to the first token of a Llama: its import, the bytes, one forward pass, and nothing else.

No transformers, no server, no tokenizer: the architecture in 40 lines over the mapped weights. Prints one line of JSON
with the stages and the time of the first output, on the monotonic clock, and the token.

    python scripts/baselines/floor/bare_torch.py .cache/models/llama-135m --ids 1,2,3
"""

import time

BEGAN = time.monotonic()

import argparse  # noqa: E402 - the clock comes first
import json  # noqa: E402
import mmap  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

IMPORTED = time.monotonic()
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, over its mapped bytes, every one of which has been read."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    size = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + size])
    entries.pop("__metadata__", None)
    torch.frombuffer(content, dtype=torch.uint8)[:: mmap.PAGESIZE].sum()  # touches every page
    tensors = {}
    for name, entry in entries.items():
        start, end = entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
        flat = torch.frombuffer(content, dtype=dtype, count=(end - start) // dtype.itemsize, offset=8 + size + start)
        tensors[name] = flat.view(entry["shape"])
    return tensors


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def forward(config: Mapping[str, int | float], weights: Mapping[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    """The scores of the token that follows ``ids``: one row of the size of the vocabulary."""
    heads, groups = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    eps = float(config["rms_norm_eps"])
    theta = float(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])  # type: ignore[index]  # JSON
    n = len(ids)
    steps = torch.arange(n).float()[:, None] / theta ** (torch.arange(0, size, 2).float() / size)
    angles = torch.cat((steps, steps), dim=-1)
    x = functional.embedding(torch.tensor(ids), weights["model.embed_tokens.weight"])
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    for number in range(int(config["num_hidden_layers"])):
        own = f"model.layers.{number}."
        y = norm(x, weights[own + "input_layernorm.weight"], eps)
        q, k, v = (
            functional.linear(y, weights[f"{own}self_attn.{name}_proj.weight"]).view(n, count, size).transpose(0, 1)
            for name, count in (("q", heads), ("k", groups), ("v", groups))
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (part.repeat_interleave(heads // groups, dim=0) for part in (k, v))
        attended = functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=n > 1)[0]
        x = x + functional.linear(attended.transpose(0, 1).reshape(n, -1), weights[own + "self_attn.o_proj.weight"])
        y = norm(x, weights[own + "post_attention_layernorm.weight"], eps)
        gate, up = (functional.linear(y, weights[f"{own}mlp.{name}_proj.weight"]) for name in ("gate", "up"))
        x = x + functional.linear(functional.silu(gate) * up, weights[own + "mlp.down_proj.weight"])
    last = norm(x[-1], weights["model.norm.weight"], eps)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return functional.linear(last, head)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder: a Llama in one model.safetensors")
    parser.add_argument("--ids", type=lambda text: list(map(int, text.split(","))), default=[1, 2, 3, 4])
    args = parser.parse_args()
    began_s = time.monotonic()
    config = json.loads((args.model / "config.json").read_text())
    weights = read_weights(args.model / "model.safetensors")
    read_s = time.monotonic()
    with torch.inference_mode():
        token = int(forward(config, weights, args.ids).argmax())
    done_s = time.monotonic()
    stages = [("imports", BEGAN, IMPORTED), ("weights", began_s, read_s), ("first_prediction", read_s, done_s)]
    print(json.dumps({"stages": stages, "first_output": done_s, "token": token}))


if __name__ == "__main__":
    main()

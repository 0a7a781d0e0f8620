"""``pilotlight weights convert``: makes a plain model folder of a GGUF file."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import click
from rich.filesize import decimal

from pilotlight.cli.common.transfer_view import watching
from pilotlight.errors import UsageError

INTERRUPTED = 130  # conventional exit status after Ctrl-C
DTYPES = ("auto", "float32", "float16", "bfloat16")

_EXAMPLES = """\b
Examples:
  pilotlight weights convert model.Q4_K_M.gguf
  pilotlight weights convert model.Q8_0.gguf --out weights/my-model --dtype float32
  pilotlight weights convert weights/name-GGUF --json
  pilotlight export model.Q4_K_M --engine openvino --precision int8
"""


@click.command("convert", epilog=_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to make; it must not exist.  [default: the file's name under --weights-dir]",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="auto",
    show_default=True,
    help="Precision of the weights. auto keeps what the file holds, and is float16 where it is quantised; only float32 "
    "keeps every bit of a quantised value.",
)
@click.option(
    "--weights-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("weights"),
    show_default=True,
    help="The folder that holds the model folders.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and no progress.")
@click.pass_context
def command(ctx: click.Context, file: Path, out: Path | None, dtype: str, weights_dir: Path, as_json: bool) -> None:
    """Convert FILE.gguf to a model folder: config.json, tokenizer, chat template and safetensors.

    FILE is a GGUF file, the first file of a split one, or a folder with one. Neither torch nor transformers is needed.
    The result is served like any model folder, and `pilotlight export` makes an OpenVINO artifact of it. A file of an
    architecture, tokenizer or quantisation that is not supported is refused.
    """
    from pilotlight.loading.files.gguf_names import find_gguf
    from pilotlight.loading.gguf.convert import convert_gguf

    source = find_gguf(file) if file.is_dir() else file
    if source is None:
        raise UsageError(f"{file} has no GGUF file")
    if not source.is_file():
        raise UsageError(f"{source} is no file: give a GGUF file, or a folder with one")
    started_s = time.monotonic()
    try:
        with watching("converting", quiet=as_json) as watcher:
            done = convert_gguf(source, out or weights_dir / source.stem, dtype=dtype, watcher=watcher)
    except KeyboardInterrupt:
        click.echo("Stopped. Nothing is left of the conversion.", err=True)
        ctx.exit(INTERRUPTED)
    wall_s = time.monotonic() - started_s
    if as_json:
        fields = {**dataclasses.asdict(done), "folder": str(done.folder), "wall_s": round(wall_s, 3)}
        click.echo(json.dumps({"source": str(source), **fields}, indent=2))
        return
    types = ", ".join(f"{count} {name}" for name, count in sorted(done.types.items(), key=lambda item: -item[1]))
    click.echo(
        f"{done.folder}: {done.architecture}, {done.parameters / 1e6:.1f}M parameters as {done.dtype}, "
        f"{decimal(done.size_bytes)}, from tensors of {types} in {wall_s:.1f} s"
    )

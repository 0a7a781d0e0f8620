"""``pilotlight export``: converts a model for a faster engine and compares the artifact with the model."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from pilotlight.errors import UsageError
from pilotlight.loading.files.artifacts import PRECISIONS, Artifact
from pilotlight.loading.files.manifest import ArtifactCheck, EncoderCheck
from pilotlight.loading.progress import Watcher

_EXAMPLES = """\b
Examples:
  pilotlight export weights/pylight-5m --engine openvino --precision int8
  pilotlight export weights/pylight-5m --engine onnx --precision int4
  pilotlight export my-model --precision bf16 --text held-out.txt --max-loss 1%
"""


def _share(ctx: click.Context, param: click.Parameter, given: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%?)", given.strip())
    if found is None:
        raise click.BadParameter(f"{given!r} is not a share: give it as 3% or 0.03")
    return float(found[1]) / (100 if found[2] else 1)


@click.command("export", epilog=_EXAMPLES)
@click.argument("model")
@click.option("--engine", type=click.Choice(["openvino", "onnx"]), default="openvino", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="int8",
    show_default=True,
    help="Precision of the weights. int8 and int4 are smaller and faster and cost a little quality. onnx supports "
    "int8, int4 and fp32.",
)
@click.option("--device", type=click.Choice(["cpu"]), default="cpu", show_default=True)
@click.option(
    "--max-loss",
    callback=_share,
    default="3%",
    show_default=True,
    help="How many more bits per byte than the model the artifact may need on the check text.",
)
@click.option(
    "--text",
    "text_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_default="pilotlight's samples of prose, chats and code",
    help="The check text (UTF-8). It should resemble the model's inputs and not be training data.",
)
@click.option(
    "--weights-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("weights"),
    show_default=True,
    help="The folder that holds the model folders.",
)
@click.option(
    "--exporter",
    "use_exporter",
    is_flag=True,
    help="Use the exporter even where pilotlight can build the OpenVINO model itself, without torch and in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the entry of manifest.json as JSON.")
def command(
    model: str,
    engine: str,
    precision: str,
    device: str,
    max_loss: float,
    text_file: Path | None,
    weights_dir: Path,
    use_exporter: bool,
    as_json: bool,
) -> int:
    """Create an artifact of MODEL for a faster engine, for example MODEL/openvino-int8-cpu. MODEL is a folder, or the
    name of one in --weights-dir.

    Llama-like models (llama, mistral, qwen2, qwen3, phi3) are built for openvino from their tensors, in seconds and
    without torch. For others the exporter runs in its own virtual environment, created once. The artifact is compared
    with the model before it is kept: bits per byte on prose, chats and code and agreement of greedy outputs; for
    classifiers and embedders, labels and scores, or vectors. A model with a chat template is judged by chats, another
    one by the kind of text that it knows best. The figures are written to manifest.json.
    """
    from pilotlight.engines.encoders.model_config import native_task
    from pilotlight.engines.quality_encoder import check_encoder, pieces
    from pilotlight.engines.quality_text import check, require_enough
    from pilotlight.engines.samples.texts import SampleText, english, own_texts
    from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
    from pilotlight.loading.export.build import CONVERTERS, Converter, export, openvino_files, require_kind
    from pilotlight.loading.files.checks.architecture import require_generator
    from pilotlight.loading.files.checks.exportable import require_exportable
    from pilotlight.loading.files.loadable import check_loadable
    from pilotlight.loading.files.tokenizer_files import require_tokenizer
    from pilotlight.loading.files.verify import resolve_folder

    require_kind(engine, precision, device)
    folder = resolve_folder(model, weights_dir)
    given = SampleText(text_file.name, _read(text_file)) if text_file else None

    check_loadable(folder)
    require_exportable(folder)
    encodes = native_task(folder) is not None
    convert: Converter
    if encodes:
        if engine != "openvino":
            raise UsageError(f"{folder} is a classifier or an embedder, which {engine} does not serve: use openvino")
        text = given or english()
        pieces(text.content)
        convert = partial(openvino_files, script="convert_encoder.py")
    else:
        require_generator(folder)
        require_tokenizer(folder)
        texts = (given,) if given else own_texts(TokenizerCodec(folder))
        require_enough(folder, texts)
        convert = openvino_files if use_exporter and engine == "openvino" else CONVERTERS[engine]

    with _steps(quiet=as_json) as watcher:

        def measure(artifact: Artifact) -> ArtifactCheck | EncoderCheck:
            watcher.note("checking it against the source")
            if encodes:
                return check_encoder(folder, artifact, text.description, text.content)
            return check(folder, artifact, texts)

        done = export(
            folder,
            engine=engine,
            precision=precision,
            device=device,
            max_loss=max_loss,
            check=measure,
            environ=os.environ,
            watcher=watcher,
            convert=convert,
        )
    if as_json:
        click.echo(json.dumps({**done.entry.model_dump(mode="json"), "size_bytes": done.size_bytes}, indent=2))
        return 0
    figures = done.entry.check
    click.echo(f"{done.artifact.folder}: {decimal(done.size_bytes)}")
    if isinstance(figures, EncoderCheck):
        same = "same label" if figures.task == "classify" else "same nearest other text"
        click.echo(f"{same} as the model itself for {figures.agreement:.1%} of {figures.texts} texts of {figures.text}")
        kind = "score" if figures.task == "classify" else "vector (one minus the cosine)"
        click.echo(f"largest difference of a {kind}: {figures.largest_difference:.4f}")
        return 0
    assert figures is not None, "the check measured nothing: this is a bug"
    for one in figures.kinds or (figures,):
        judged = isinstance(one, ArtifactCheck) or one.kind == figures.judged_by
        click.echo(
            f"{one.artifact_bits_per_byte:.4f} bits per byte on {one.text}, the model itself "
            f"{one.source_bits_per_byte:.4f}: {one.loss:+.2%}{f' (at most {max_loss:.2%})' if judged else ''}"
        )
    click.echo(f"greedy output the same for {figures.greedy_agreement:.1%} of {figures.greedy_tokens} tokens")
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}") from error


@contextlib.contextmanager
def _steps(*, quiet: bool) -> Iterator[Watcher]:
    """Provide a watcher that shows each note with its duration on a terminal; elsewhere it prints notes on stderr."""
    console = Console(stderr=True, highlight=False, markup=False)
    if quiet or not console.is_terminal:
        yield _Steps(console, None)
        return
    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        steps = _Steps(console, progress)
        yield steps
        steps.finish()


class _Steps:
    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console = console
        self._progress = progress
        self._task: TaskID | None = None

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        """Do nothing: exports count steps, not bytes."""

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """Do nothing: exports count steps, not bytes."""

    def note(self, text: str) -> None:
        if self._progress is None:
            self._console.print(text, soft_wrap=True)
            return
        self.finish()
        self._task = self._progress.add_task(text, total=1)

    def finish(self) -> None:
        """Mark the current step as done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=1)

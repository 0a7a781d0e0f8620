#!/usr/bin/env python
"""What our torch engine gets out of an NVIDIA GPU, beside what the disk, the bus and transformers give.

For models of 1B and 8B parameters in bf16 (random weights, made now where they are missing): loading in GB/s beside a
plain read of the same files and beside copies from pinned memory; tokens per second with 1, 16 and 64 streams beside
`generate` with as many rows and beside transformers' own continuous batching with CUDA graphs; exec to the first token
of a real Cog server, ours and scripts/baselines/plain-pipeline.  Each figure comes from a process of its own, in turn,
round after round.

    python scripts/measure/bench_gpu.py                      # 1B, then 8B: needs 17 GB of disk and 24 GB of GPU memory
    python scripts/measure/bench_gpu.py --shape 1b --rounds 5 --out docs/gpu-1b.json

Without a GPU it runs through on the processor with a tiny model, and says so: the figures then mean nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pilotlight import PilotlightError
from pilotlight.bench.harness.documents import Document, Strict, write_document
from pilotlight.bench.harness.environment import read_environment
from pilotlight.bench.harness.targets import BenchTarget, StartOptions, describe
from pilotlight.bench.stats.intervals import TooSmall, median_interval
from pilotlight.runtime import Project

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.baselines.gpu import rates

ROOT = Path(__file__).resolve().parents[2]


class Figure(Strict):
    """One figure; ``values`` has one for each round.

    Attributes:
        what: in words.
        unit: GB/s, tokens/s or s.
        message: why there is none.
    """

    shape: str
    what: str
    unit: str
    values: tuple[float, ...]
    message: str | None = None


class Settings(Strict):
    """What was asked for."""

    device: str
    shapes: tuple[str, ...]
    streams: tuple[int, ...]
    tokens: int
    rounds: int
    servers: bool


class GpuResult(Document):
    """All figures of a run. Format 1, the first."""

    format: Literal["pilotlight-bench-gpu"] = "pilotlight-bench-gpu"
    format_version: Literal[1] = 1
    settings: Settings
    figures: tuple[Figure, ...]


def isolated(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns, in a process of its own, which gives back all that it held.

    It is forked from one that has imported torch and nothing else, and so has neither threads nor a CUDA context.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def jobs(
    shape: str, folder: Path, settings: Settings
) -> Iterator[tuple[str, str, Callable[..., float], Sequence[Any]]]:
    """What to measure of a shape: in words, in which unit, and how."""
    device = settings.device
    yield "plain read of the weights", "GB/s", rates.plain_read, (folder,)
    yield "copies from pinned memory", "GB/s", rates.copy_limit, (device,)
    yield "load into our engine", "GB/s", rates.load_rate, (folder, device)
    for streams in settings.streams:
        asked = (folder, device, streams, settings.tokens)
        yield f"our engine, {streams} streams", "tokens/s", rates.engine_rate, asked
        yield f"generate, {streams} rows", "tokens/s", rates.generate_rate, asked
        yield f"continuous batching of transformers, {streams} streams", "tokens/s", rates.continuous_rate, asked
    if not settings.servers:
        return
    # A pipeline takes the GPU by itself; scripts/baselines/plain would stay on the processor.
    pipeline = ROOT / "scripts" / "baselines" / "plain-pipeline"
    yield "exec to first token, ours", "s", rates.first_token, (ROOT, folder, device)
    yield "exec to first output, a pipeline's", "s", rates.first_token, (pipeline, folder, device)


def measure(settings: Settings, folders: dict[str, Path]) -> Iterator[tuple[Figure, ...]]:
    """All figures so far, again and again; one that fails is left out from then on, and says why."""
    figures: dict[tuple[str, str], Figure] = {}
    for number in range(settings.rounds):
        for shape in settings.shapes:
            for what, unit, work, arguments in jobs(shape, folders[shape], settings):
                one = figures.get((shape, what)) or Figure(shape=shape, what=what, unit=unit, values=())
                if one.message is None:
                    print(f"round {number + 1} of {settings.rounds}: {shape}: {what}", file=sys.stderr)
                    one = one.model_copy(update=attempt(work, arguments, one.values))
                figures[shape, what] = one
                yield tuple(figures.values())


def attempt(work: Callable[..., float], arguments: Sequence[Any], values: tuple[float, ...]) -> dict[str, Any]:
    try:
        return {"values": (*values, isolated(work, *arguments))}
    except (PilotlightError, RuntimeError, OSError, ValueError, BrokenProcessPool) as error:
        return {"message": f"{type(error).__name__}: {error}"[:500]}


def make_model(shape: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        script = ROOT / "scripts" / "train" / "make_bench_model.py"
        subprocess.run([sys.executable, str(script), "--size", shape, "--out", str(folder)], check=True)
    return folder


def table(result: GpuResult) -> str:
    lines = ["| shape | figure | unit | median [95 % interval] |", "| --- | --- | --- | ---: |"]
    for one in result.figures:
        interval = median_interval(one.values)
        shown = f"failed: {one.message}" if one.message else f"{median(one.values):.3g}"
        if not isinstance(interval, TooSmall) and not one.message:
            shown += f" [{interval.low:.3g}, {interval.high:.3g}]"
        lines.append(f"| {one.shape} | {one.what} | {one.unit} | {shown} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape", action="append", choices=("tiny", "135m", "0.5b", "1b", "8b"), help="can be repeated"
    )
    parser.add_argument("--models", type=Path, default=ROOT / ".cache" / "models", help="where the models are, or go")
    parser.add_argument("--streams", type=lambda text: tuple(map(int, text.split(","))), default=(1, 16, 64))
    parser.add_argument("--tokens", type=int, default=128, help="of each stream (default: 128)")
    parser.add_argument("--rounds", type=int, default=3, help="6 allow intervals (default: 3)")
    parser.add_argument("--servers", action=argparse.BooleanOptionalAction, default=True, help="also start Cog servers")
    parser.add_argument("--out", type=Path, help="write all values as JSON")
    return parser.parse_args()


def main() -> None:
    args = parse()
    cuda = bool(isolated(rates.has_cuda))
    if not cuda:
        print("There is no CUDA device here: this is the processor, and no figure means anything.", file=sys.stderr)
    shapes = tuple(args.shape or (("1b", "8b") if cuda else ("tiny",)))
    settings = Settings(
        device="cuda" if cuda else "cpu",
        shapes=shapes,
        streams=args.streams,
        tokens=args.tokens,
        rounds=args.rounds,
        servers=args.servers,
    )
    try:
        folders = {shape: make_model(shape, (args.models / f"llama-{shape}").resolve()) for shape in shapes}
        result = GpuResult(
            created_at=datetime.now(UTC),
            finished=False,
            environment=read_environment(Path(sys.executable)),
            projects=describe(
                [BenchTarget("pilotlight", Project.load(ROOT))], StartOptions(Path(sys.executable), {}, 0, 0)
            ),
            settings=settings,
            figures=(),
        )
        for figures in measure(settings, folders):
            result = result.model_copy(update={"figures": figures})
            if args.out:
                write_document(result, args.out)
    except PilotlightError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: the model was not made: status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit(130)
    result = result.model_copy(update={"finished": True})
    if args.out:
        write_document(result, args.out)
    print(table(result))
    sys.exit(1 if any(one.message for one in result.figures) else 0)


if __name__ == "__main__":
    main()

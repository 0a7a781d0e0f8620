#!/usr/bin/env python
"""Our engines against the plain predictor, other servers and the floor, on one model, in one interleaved run.

Each is measured from exec to READY, from exec to the first token (with what it reads in the page cache, and without),
and by its tokens per second and time to first token with one client and with many.  Three are real Cog servers: the
predictor that everybody writes first (scripts/baselines/plain), our torch engine in bf16, and our fast path, which is
what PILOTLIGHT_ENGINE=auto picks for an artifact that `pilotlight export` made (it is made now where it is missing).
To compare with: `transformers serve --continuous-batching`, in an environment of its own under .cache, made once;
OpenVINO GenAI driven in-process; a Cog server that does nothing; and the floors: a bare interpreter that imports the
runtime, reads the bytes and makes one token.

    python scripts/measure/measure_engines.py                    # 135M Llama, 8 rounds
    python scripts/measure/measure_engines.py --shape 0.5b
    python scripts/measure/measure_engines.py --quick            # a tiny model, two minutes: does it all run?

Writes the raw values to docs/engines-SHAPE.json and prints a table in Markdown.  Wants a machine with nothing else to
do, and, to drop the page cache, root; it needs no GPU, and uses none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pilotlight import PilotlightError
from pilotlight.bench.cold.pagecache import pick_method
from pilotlight.bench.harness.documents import ProjectInfo, read_document, write_document
from pilotlight.bench.harness.environment import weight_hashes
from pilotlight.bench.harness.targets import BenchTarget, StartOptions, describe
from pilotlight.bench.systems.cog import CogSystem
from pilotlight.bench.systems.goals import ComparedFigure, FigureKind, Goal
from pilotlight.bench.systems.measure import ComparisonPlan, measure
from pilotlight.bench.systems.programs import ConcurrentProgram, LowerBoundProgram
from pilotlight.bench.systems.render import markdown
from pilotlight.bench.systems.results import ComparisonResult, ComparisonSettings
from pilotlight.bench.systems.server import ServerSystem
from pilotlight.bench.systems.system_under_test import SystemUnderTest
from pilotlight.loading.export.environment import CACHE_VARIABLE, environment
from pilotlight.loading.files.artifacts import artifact_name, find_artifacts
from pilotlight.loading.progress import Silent
from pilotlight.runtime import Project

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ROOT / "scripts" / "baselines"
CACHE = ROOT / ".cache"
MODEL = "PILOTLIGHT_MODEL"
PROMPT = "def main(args):"
MANY = 16
PLAIN, TORCH, FAST = "plain", "torch bf16", "fast"
SERVE, CROWD, COG = "transformers serve", "GenAI in-process", "Cog alone"
FLOOR_TORCH, FLOOR_OPENVINO = "floor torch", "floor openvino"
NAMES = frozenset({PLAIN, TORCH, FAST, SERVE, CROWD, COG, FLOOR_TORCH, FLOOR_OPENVINO})
NEED_ARTIFACT = frozenset({FAST, CROWD, FLOOR_OPENVINO})
NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "PILOTLIGHT_DEVICE": "cpu"}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_SERVE = "import sys; from transformers.cli.transformers import main; sys.exit(main())"


def goals() -> list[Goal]:
    """What the fast path and the torch engine are to reach, against the plain predictor and other servers."""
    one, many, waits = (
        ComparedFigure(FigureKind.RATE, 1),
        ComparedFigure(FigureKind.RATE, MANY),
        ComparedFigure(FigureKind.FIRST_P95, MANY),
    )
    ready, first, dropped = (
        ComparedFigure(FigureKind.READY),
        ComparedFigure(FigureKind.FIRST),
        ComparedFigure(FigureKind.FIRST_DROPPED),
    )
    return [
        *(Goal(figure, FAST, PLAIN, limit) for figure, limit in ((ready, 1 / 5), (first, 1 / 5), (dropped, 1 / 4))),
        *(Goal(figure, TORCH, PLAIN, limit) for figure, limit in ((ready, 0.6), (first, 0.6), (dropped, 0.7))),
        Goal(one, FAST, PLAIN, 3.0),
        Goal(one, TORCH, PLAIN, 1.0),
        Goal(many, FAST, PLAIN, 20.0),
        Goal(many, TORCH, PLAIN, 6.0),
        Goal(many, FAST, SERVE, 6.0),
        Goal(many, TORCH, SERVE, 1.5),
        Goal(waits, FAST, SERVE, 1 / 5),
        Goal(waits, TORCH, SERVE, 1.0),
        Goal(many, FAST, CROWD, 0.9),
    ]


def cog_systems(model: Path, precision: str, timeout_s: float) -> list[CogSystem]:
    ours, plain = Project.load(ROOT), Project.load(BASELINES / "plain")
    nothing = Project.load(ROOT / "tests" / "cog" / "projects" / "load_tiny")
    options = StartOptions(Path(sys.executable), {MODEL: str(model), **NO_GPU}, timeout_s, timeout_s)
    lengths = ("min_tokens", "max_tokens")
    asked = {"prompt": PROMPT}
    greedy = {**asked, "temperature": 0}
    torch = {"PILOTLIGHT_ENGINE": "torch", "PILOTLIGHT_DTYPE": "bfloat16"}
    fast = {"PILOTLIGHT_ENGINE": "auto", "PILOTLIGHT_DTYPE": precision}
    return [
        CogSystem(BenchTarget(PLAIN, plain), options, asked, lengths),
        CogSystem(BenchTarget(TORCH, ours, torch), options, greedy, lengths),
        CogSystem(BenchTarget(FAST, ours, fast), options, greedy, lengths),
        CogSystem(BenchTarget(COG, nothing), options, {}, (), streams=False),
    ]


def serve_system(model: Path, timeout_s: float) -> ServerSystem:
    """`transformers serve`, from an environment that has what it needs beside what ours has."""
    requirements = BASELINES / "transformers-serve" / "requirements.txt"
    python = environment(requirements, {**os.environ, CACHE_VARIABLE: str(CACHE / "pilotlight")}, Silent())

    # Left to itself it fills most of the free memory with zeros when the first request comes: seconds, and a machine
    # without memory for anything else. A tenth is room for a hundred times the requests that it gets here.
    asked = ["--continuous-batching", "--device", "cpu", "--dtype", "bfloat16", "--cb-max-memory-percent", "0.1"]

    def argv(port: int) -> list[str]:
        return [str(python), "-c", _SERVE, "serve", str(model), *asked, "--host", "127.0.0.1", "--port", str(port)]

    def body(prompt: str, tokens: int) -> dict[str, Any]:
        # It has no least number of tokens; without an end of text there is no other way to end.
        greedy = {"do_sample": False, "max_new_tokens": tokens, "eos_token_id": -1, "pad_token_id": 0}
        asked = {"model": str(model), "prompt": prompt, "max_tokens": tokens}
        return {**asked, "generation_config": json.dumps(greedy)}

    command = " ".join(["transformers serve MODEL", *asked])
    return ServerSystem(SERVE, argv, {**NO_GPU, **OFFLINE}, ROOT, body, command, PROMPT, timeout_s)


def program_systems(model: Path, artifact: str | None, timeout_s: float) -> list[SystemUnderTest]:
    lower_bound, genai = BASELINES / "floor", BASELINES / "genai"
    torch = [sys.executable, str(lower_bound / "bare_torch.py"), str(model)]
    weights = frozenset(model.glob("*.safetensors"))
    bare = LowerBoundProgram(FLOOR_TORCH, torch, "baselines/floor/bare_torch.py MODEL", timeout_s, NO_GPU, weights)
    if artifact is None:
        return [bare]
    cache = CACHE / "floor-openvino" / model.name
    cache.mkdir(parents=True, exist_ok=True)
    openvino = [sys.executable, str(lower_bound / "bare_openvino.py"), str(model / artifact), "--cache", str(cache)]
    concurrent = [sys.executable, str(genai / "crowd.py"), str(model), artifact]
    blobs = frozenset((model / artifact).iterdir())
    return [
        ConcurrentProgram(CROWD, concurrent, f"baselines/genai/crowd.py MODEL {artifact}", timeout_s, NO_GPU),
        bare,
        LowerBoundProgram(
            FLOOR_OPENVINO, openvino, f"baselines/floor/bare_openvino.py MODEL/{artifact}", timeout_s, NO_GPU, blobs
        ),
    ]


def infos(systems: list[SystemUnderTest], model: Path) -> tuple[ProjectInfo, ...]:
    """What is known of each; the model by its name, for its place is of no interest to anybody."""
    weights = weight_hashes([model / "config.json"])
    found = []
    for one in systems:
        if isinstance(one, CogSystem):
            (info,) = describe([one.target], one.options)
            update = {"env": {**info.env, MODEL: model.name}, "inputs": dict(one.inputs), "weights": weights}
            found.append(info.model_copy(update=update))
        else:
            inputs = {"prompt": PROMPT}
            found.append(ProjectInfo(name=one.name, env={}, inputs=inputs, revision=None, weights=weights))
    return tuple(found)


def prepare_model(args: argparse.Namespace) -> Path:
    """The model folder, and its artifact where one is to be measured; what is missing is made now."""
    model: Path = (args.model or CACHE / "models" / f"llama-{args.shape}").resolve()
    if not (model / "config.json").is_file():
        if args.model:
            raise SystemExit(f"error: {model} is no model folder; scripts/train/make_bench_model.py makes one")
        make = [sys.executable, str(ROOT / "scripts" / "train" / "make_bench_model.py"), "--size", args.shape]
        subprocess.run([*make, "--out", str(model)], check=True)
    wanted = artifact_name("openvino", args.precision, "cpu")
    if NEED_ARTIFACT & args.only and wanted not in {artifact.folder.name for artifact in find_artifacts(model)}:
        export = [sys.executable, "-c", "from pilotlight.cli import main; main()", "export", str(model)]
        # Random weights lose nothing that a limit could protect.
        command = [*export, "--precision", args.precision, "--max-loss", "10%"]
        subprocess.run(command, check=True, env={**os.environ, CACHE_VARIABLE: str(CACHE / "pilotlight")})
    return model


def make_plan(args: argparse.Namespace) -> ComparisonPlan:
    model = prepare_model(args)
    artifact = artifact_name("openvino", args.precision, "cpu") if NEED_ARTIFACT & args.only else None
    systems: list[SystemUnderTest] = [*cog_systems(model, args.precision, args.timeout)]
    if SERVE in args.only:
        systems.append(serve_system(model, args.timeout))
    systems += program_systems(model, artifact, args.timeout)
    systems = [one for one in systems if one.name in args.only]
    settings = ComparisonSettings(
        model=model.name,
        artifact=artifact,
        rounds=args.rounds,
        streams=(1, MANY),
        duration_s=args.duration,
        prompt=PROMPT,
        tokens=args.tokens,
        seed=args.seed,
        drop_method=pick_method() if args.drop_cache else None,
        timeout_s=args.timeout,
    )
    return ComparisonPlan(tuple(systems), infos(systems, model), settings, Path(sys.executable))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("tiny", "135m", "0.5b", "1b"), default="135m", help="of a Llama")
    parser.add_argument("--model", type=Path, help="a model folder instead: a Llama in one model.safetensors")
    parser.add_argument("--precision", default="int8", help="of the fast path's artifact (default: int8)")
    parser.add_argument("--rounds", type=int, default=8, help="6 allow an interval on every median (default: 8)")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds of each level of load (default: 10)")
    parser.add_argument("--tokens", type=int, default=64, help="of each request (default: 64)")
    parser.add_argument("--drop-cache", action=argparse.BooleanOptionalAction, default=True, help="also measure that")
    parser.add_argument("--only", action="append", metavar="NAME", help="a system; can be given again")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for a process, and for a request")
    parser.add_argument("--quick", action="store_true", help="--shape tiny, one round of two seconds, written nowhere")
    parser.add_argument("--show", action="store_true", help="print the table of a result that is there, and end")
    parser.add_argument("--out", type=Path, help="default: docs/engines-SHAPE.json")
    args = parser.parse_args()
    if args.quick:
        args.shape, args.rounds, args.duration, args.tokens = "tiny", 1, 2.0, 16
    elif args.out is None:
        args.out = ROOT / "docs" / f"engines-{args.model.name if args.model else args.shape}.json"
    args.only = frozenset(args.only or NAMES)
    if unknown := args.only - NAMES:
        parser.error(f"--only {min(unknown)}: choose of {', '.join(sorted(NAMES))}")
    if args.rounds < 1 or args.tokens < 2 or args.duration <= 0:
        parser.error("give --rounds of 1 at least, --tokens of 2 at least, and a --duration above 0")
    return args


def main() -> None:
    args = parse()
    try:
        if args.show:
            if args.out is None:
                sys.exit("error: --show: say which with --out or --shape")
            result = read_document(ComparisonResult, args.out)
        else:
            save = (lambda result: write_document(result, args.out)) if args.out else (lambda result: None)
            plan = make_plan(args)
            result = asyncio.run(measure(plan, save=save, announce=lambda text: print(text, file=sys.stderr)))
    except PilotlightError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error.cmd[1]} ended with status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit(130)
    names = {info.name for info in result.projects}
    shown = [goal for goal in goals() if {goal.name, goal.against} <= names]
    print(markdown(result, shown), end="")
    sys.exit(1 if any(one.message for one in (*result.processes, *result.streams)) else 0)


if __name__ == "__main__":
    main()

"""A result of ``bench cold``, made up."""

from datetime import UTC, datetime

from pilotlight.bench.cold.results import (
    ColdResult,
    ColdSettings,
    ImportSeconds,
    ProcessResult,
    StageSeconds,
)
from pilotlight.bench.harness.documents import Environment, Gpu, ProjectInfo

GPU = Gpu(name="Model G", driver="550.1", memory_bytes=24 * 2**30)

ENVIRONMENT = Environment(
    cpu_model="Model T",
    cores=4,
    memory_bytes=8 * 2**30,
    governor=None,
    load_1m=0.1,
    system="Linux",
    kernel="6.1",
    python="3.11.7",
    packages={"cog": "0.23.1", "torch": "2.13.0"},
)
SETTINGS = ColdSettings(
    runs=8,
    seed=0,
    page_cache="hot",
    drop_method=None,
    compile_cache="present",
    bytecode="present",
    memory_limit_bytes=7 * 2**30,
    setup_timeout_s=300.0,
    predict_timeout_s=300.0,
)


def info(name="plain", **changes):
    given = {"env": {}, "inputs": {"prompt": "Hello"}, "revision": "abc", "weights": {"m": {"a.safetensors": "0" * 64}}}
    return ProjectInfo(name=name, **{**given, **changes})


def start(project="plain", number=0, wall_s=2.0, **changes):
    given = {
        "measured": True,
        "outcome": "succeeded",
        "wall_s": wall_s,
        "ready_s": wall_s - 0.2,
        "first_output_s": wall_s - 0.1,
        "stages": (
            StageSeconds(stage="imports", charged_s=wall_s - 0.5, overlapped_s=0.25),
            StageSeconds(stage="first_prediction", charged_s=0.25, overlapped_s=0.0),
            StageSeconds(stage="other", charged_s=0.25, overlapped_s=0.0),
        ),
        "imports": (ImportSeconds(package="torch", self_s=wall_s / 2, modules=900),),
        "read_bytes": 3_000_000,
        "major_faults": 7,
        "peak_rss_bytes": 400_000_000,
        "cpu_s": 1.5,
        "load_1m": 0.1,
        "steal_share": 0.0,
    }
    return ProcessResult(project=project, round=number, **{**given, **changes})


def failure(project, outcome, message):
    return ProcessResult(project=project, round=0, measured=False, outcome=outcome, message=message, load_1m=0.1)


def result(*processes, projects=(), **changes):
    given = {"created_at": datetime(2026, 1, 2, tzinfo=UTC), "finished": True}
    given |= {"settings": SETTINGS, "environment": ENVIRONMENT}
    return ColdResult(projects=projects or (info(),), processes=processes, **{**given, **changes})

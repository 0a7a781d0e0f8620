"""The last section of the page: the machine, the settings, the projects, and the calibration."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pilotlight.bench.calibrate.measure import Calibration
from pilotlight.bench.calibrate.render import CALIBRATE, NOT_CALIBRATED, measured, target
from pilotlight.bench.harness.documents import Document, Environment, ProjectInfo
from pilotlight.bench.report.markup import Html, join, tag
from pilotlight.bench.report.pages.parts import NOTHING, facts, folded, section, table

__all__ = ["calibration_section", "facts_section"]


def facts_section(documents: Iterable[tuple[str, Document]]) -> Html:
    """Return the machine, the settings and the projects; information that several results share appears once."""
    found = list(documents)
    machines: dict[str, tuple[list[str], Environment]] = {}
    projects: dict[str, ProjectInfo] = {}
    for name, document in found:
        key = document.environment.model_dump_json(exclude={"load_1m"})
        machines.setdefault(key, ([], document.environment))[0].append(name)
        projects |= {info.model_dump_json(): info for info in document.projects}
    several = len(machines) > 1
    return section(
        "facts",
        "Machine, projects and settings",
        *(_machine(", ".join(names) if several else None, machine) for names, machine in machines.values()),
        *(_project(info) for info in projects.values()),
        *(_settings(name, document) for name, document in found),
    )


def calibration_section(calibration: Calibration | None) -> Html:
    """Return the calibration, or instructions for running one."""
    title = "Can these statistics be trusted?"
    if calibration is None:
        return section("calibration", title, tag("p", NOT_CALIBRATED), tag("pre", CALIBRATE))
    rows = [
        (figure.name, measured(figure), target(figure), str(figure.trials), _verdict(ok=figure.ok))
        for figure in calibration.figures
    ]
    heads = ["figure", "measured", "target", "trials", ""]
    name = f"Calibration, {calibration.runs} runs, seed {calibration.seed}"
    return section("calibration", title, tag("p", calibration.sentence), table(name, heads, rows))


def _verdict(*, ok: bool) -> Html:
    return tag("span", "ok" if ok else "outside", class_="good" if ok else "bad")


def _machine(of: str | None, machine: Environment) -> Html:
    gpus = [f"{gpu.name}, driver {gpu.driver}" for gpu in machine.gpus]
    pairs = [
        ("processor", machine.cpu_model),
        ("cores", str(machine.cores)),
        ("memory", f"{machine.memory_bytes / 2**30:.0f} GiB"),
        *(("GPU", gpu) for gpu in gpus),
        ("frequency governor", machine.governor or "not visible"),
        ("load before", f"{machine.load_1m:.2f}"),
        ("system", f"{machine.system} {machine.kernel}"),
        ("Python", machine.python),
    ]
    packages = sorted(machine.packages.items(), key=lambda one: one[0].lower())
    return join(
        tag("h3", f"The machine of {of}" if of else "The machine"),
        facts(pairs),
        folded(f"Packages: {len(packages)}", facts(packages)),
    )


def _project(info: ProjectInfo) -> Html:
    inputs = NOTHING if info.inputs is None else json.dumps(info.inputs, ensure_ascii=False)
    pairs: list[tuple[str, str | Html]] = [
        ("revision", tag("code", info.revision) if info.revision else "not in a repository"),
        ("inputs", tag("code", inputs)),
        *((name, tag("code", value)) for name, value in info.env.items()),
    ]
    rows = [
        (folder, file, tag("code", digest)) for folder, files in info.weights.items() for file, digest in files.items()
    ]
    weights = table("sha256 of each file", ["folder", "file", "sha256"], rows, words=3)
    return join(
        tag("h3", f"The project {info.name}"),
        facts(pairs),
        folded(f"Weights by file: {len(rows)}", weights) if rows else None,
    )


def _settings(name: str, document: Document) -> Html:
    settings: dict[str, Any] = getattr(document, "settings").model_dump()  # noqa: B009 - each kind has its own
    pairs = [(key.replace("_", " "), _shown(value)) for key, value in settings.items()]
    pairs += [("created", f"{document.created_at:%Y-%m-%d %H:%M:%S %Z}"), ("finished", _shown(document.finished))]
    return folded(f"Settings: {name}", facts(pairs))


def _shown(value: Any) -> str:
    match value:
        case None | () | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(_shown, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)

"""Read a project (cog.yaml, requirements, infera.yaml, the image's files, the source) without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pilotlight.doctor.facts import BuildFact, Reading, Requirement
from pilotlight.doctor.reading.context import image_files
from pilotlight.doctor.reading.predictor import read_code
from pilotlight.runtime import Project
from pilotlight.runtime.cog_yaml import BuildYaml, read_cog_yaml
from pilotlight.runtime.schema.image_check import image_differences

__all__ = ["is_pinned", "read_project", "requirements_in"]

# The deepest nesting of requirements files that is followed.
_DEEPEST = 5


def read_project(project: Project) -> Reading:
    """Return the contents of the project's files.

    Raises:
        ConfigError: cog.yaml cannot be read.
    """
    build = read_cog_yaml(project.root / "cog.yaml").build
    return Reading(
        max_concurrency=project.max_concurrency,
        gpu=project.gpu,
        python_version=project.python_version,
        sdk_version=project.sdk_version,
        requirements=tuple(_requirements(project, build)),
        commands=tuple(_commands(build)),
        environment=dict(project.environment),
        files=image_files(project.root),
        min_replicas=_min_replicas(project.root),
        code=read_code(project.root, project.predict_file, project.predict_name),
        unbuilt=tuple(BuildFact(one.where, one.problem, one.refused) for one in image_differences(project)),
    )


def _commands(build: BuildYaml | None) -> Iterator[str]:
    if build is not None:
        yield from (item.command for item in build.run or ())
        yield from build.pre_install or ()


def _requirements(project: Project, build: BuildYaml | None) -> Iterator[Requirement]:
    if build is not None:
        for text in build.python_packages or ():
            yield Requirement("cog.yaml", text, is_pinned(text))
    if project.requirements is not None:
        yield from _from_file(project.requirements, project.root)
    for command in _commands(build):
        for text in _installed_by(command):
            yield Requirement("cog.yaml", text, is_pinned(text))


def _from_file(path: Path, root: Path, depth: int = 0) -> Iterator[Requirement]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    place = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    for number, line in requirements_in(text):
        included = re.fullmatch(r"(?:-r|--requirement|-c|--constraint)[ =]?\s*(\S+)", line)
        if included and depth < _DEEPEST:
            yield from _from_file(path.parent / included[1], root, depth + 1)
        elif not line.startswith("-"):
            yield Requirement(f"{place}:{number}", line, is_pinned(line))


def requirements_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield each requirement of a requirements file with its line number, without comments and hashes."""
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), start=1):
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped:
            yield number, re.split(r"\s--hash[= ]", stripped)[0].strip()


def is_pinned(requirement: str) -> bool:
    """Return whether a requirement allows one version only: ``==`` without a star, a commit, or a file.

    A link to a file counts as pinned, because its name usually holds a version.
    """
    text = requirement.partition(";")[0].strip()
    if re.search(r"(@\s*|^)git\+", text):
        return re.search(r"@[0-9a-f]{40}\b", text) is not None
    if re.search(r"(@\s*|^)(https?|file):|\.whl$|^\.{0,2}/", text):
        return True
    return re.search(r"===?\s*[^*,\s]+$", text) is not None


def _installed_by(command: str) -> Iterator[str]:
    """Yield the packages that a shell command installs with pip."""
    for part in re.split(r"&&|\|\||;|\n", command):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        if "install" not in words or not any(Path(word).name in ("pip", "pip3") for word in words):
            continue
        yield from _packages(words[words.index("install") + 1 :])


def _packages(words: Iterable[str]) -> Iterator[str]:
    """Yield the arguments of ``pip install`` that are packages, without options and their values."""
    takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif word.startswith("-"):
            takes_value = word in (
                "-r",
                "-c",
                "-f",
                "-i",
                "-t",
                "-e",
                "--requirement",
                "--index-url",
                "--extra-index-url",
            )
            takes_value = takes_value or word in ("--find-links", "--target", "--constraint")
        else:
            yield word


def _min_replicas(root: Path) -> int | None:
    """Return ``min_replicas`` (or Replicate's ``min_instances``) from any section of infera.yaml; ``None`` without."""
    try:
        document = yaml.safe_load((root / "infera.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return _find(document)


def _find(node: Any) -> int | None:
    if not isinstance(node, dict):
        return None
    for key in ("min_replicas", "min_instances"):
        if type(node.get(key)) is int:
            number: int = node[key]
            return number
    return next((found for value in node.values() if (found := _find(value)) is not None), None)

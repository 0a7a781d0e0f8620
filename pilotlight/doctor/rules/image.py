"""Rules about the contents of the image: versions, weights, files, compiled code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pilotlight.doctor.facts import CallFact, Facts, FileFact
from pilotlight.doctor.findings import Fault, Fine, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.rules.evidence import shown_bytes
from pilotlight.doctor.vocabulary import DOWNLOADERS, PICKLE_LOADERS, matches

__all__ = ["IMAGE_RULES"]

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+|[a-z0-9][\w.-]*")
_HUB_LOADERS = (".from_pretrained", "transformers.pipeline")
_HUB_DOWNLOADS = ("huggingface_hub.snapshot_download", "huggingface_hub.hf_hub_download")
_NO_REVISION = frozenset({None, "main", "master"})
# Folders and files that no worker needs, by any part of their path.
_WASTE = frozenset(
    [
        *(".git", ".github", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache"),
        *(".venv", "venv", "node_modules", "tests", "test", "wandb", ".ipynb_checkpoints", ".idea", ".vscode", ".tox"),
    ]
)
_WASTE_SUFFIXES = frozenset({".ipynb", ".log"})
# The size below which a pull is not noticeably slower: a registry's layer moves 100 MB/s.
_WORTH_BYTES = 10_000_000
# The most examples in the evidence.
_SHOWN = 5
_CHECKS = ("hashlib.", "verify", "sha256", "checksum", "digest")
_FETCH_COMMANDS = re.compile(r"(^|[\s'\"\[(])(pget|wget|curl|aria2c|gsutil|aws)\b")


def unpinned_packages(facts: Facts) -> Outcome:
    """Find packages, a Python or a Cog whose version the next build may change."""
    read = facts.read
    loose = [one for one in read.requirements if not one.pinned]
    evidence = [f"{one.where}: {one.text}" for one in loose[:_SHOWN]]
    if len(loose) > _SHOWN:
        evidence.append(f"and {len(loose) - _SHOWN} more of {len(read.requirements)}")
    if read.python_version is None:
        evidence.append("cog.yaml: no build.python_version")
    if read.sdk_version is None:
        evidence.append("cog.yaml: no build.sdk_version, so each build uses the newest Cog")
    if not evidence:
        return Fine(f"packages: {len(read.requirements)}; Python {read.python_version}, Cog {read.sdk_version}")
    first = re.split(r"[<>=!~;\[ @]", loose[0].text)[0] if loose else "torch"
    return Fault(
        evidence=tuple(evidence),
        change="Write down the exact versions that work today, for instance from `pip freeze`.",
        code=f"{first}==X.Y.Z" if loose else 'sdk_version: "0.23.1"  # cog.yaml, under build',
        severity=Severity.MEDIUM if loose else Severity.LOW,
        how="read",
    )


def unpinned_model(facts: Facts) -> Outcome:
    """Find models of the hub that are loaded without a revision."""
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    files = {file.path for file in facts.read.files}
    loose = {call.where: call for call in code.calls if _is_loose(call, files)}
    if not loose:
        return Fine("every model of the hub has a revision")
    first = next(iter(loose.values()))
    return Fault(
        evidence=tuple(f"{where}: {call.name}({_model(call)!r}) has no revision" for where, call in loose.items()),
        change="Give the commit of the model that you have tested.",
        code=f'{first.name.rpartition(".")[2]}("{_model(first)}", revision="<40 hex digits>")',
        severity=Severity.MEDIUM,
        how="read",
    )


def _is_loose(call: CallFact, files: set[str]) -> bool:
    model = _model(call)
    # A revision that is not a constant counts as chosen.
    chosen = "revision" in call.sources and call.keywords.get("revision", "") not in _NO_REVISION
    if model is None or not _HUB.fullmatch(model) or chosen:
        return False
    if not matches(call.name, (*_HUB_LOADERS, *_HUB_DOWNLOADS)):
        return False
    return not any(path.startswith(f"{model}/") for path in files)


def _model(call: CallFact) -> str | None:
    # The first argument of a pipeline is its task.
    given = call.keywords.get("model") if call.name.endswith(".pipeline") else call.argument
    given = given or call.keywords.get("repo_id") or call.keywords.get("pretrained_model_name_or_path")
    return given if isinstance(given, str) else None


def pickled_weights(facts: Facts) -> Outcome:
    """Find weights, in the image or loaded by the code, in a format that runs code when it is loaded."""
    found = [file for file in facts.read.files if file.pickled]
    calls = [call for call in (facts.read.code.calls if facts.read.code else ()) if _unpickles(call)]
    if not found and not calls:
        return Fine("no pickled weights")
    return Fault(
        evidence=(
            *(f"{file.path}: {shown_bytes(file.size_bytes)}" for file in found[:_SHOWN]),
            *dict.fromkeys(f"{call.where}: {call.name}" for call in calls),
        ),
        change="Convert them once to safetensors, which holds only numbers and is mapped instead of copied.",
        code='safetensors.torch.save_file(torch.load("model.pt", weights_only=True), "model.safetensors")',
        severity=Severity.MEDIUM,
        how="read",
    )


def _unpickles(call: CallFact) -> bool:
    safe = call.name == "torch.load" and call.keywords.get("weights_only") is True
    return matches(call.name, PICKLE_LOADERS) and not safe and call.phase != "import"


def unverified_fetch(facts: Facts) -> Outcome:
    """Find downloads in ``setup()`` where nothing that it reaches verifies the downloaded file."""
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    calls = code.reached("import", "setup")
    fetches = [call for call in calls if matches(call.name, DOWNLOADERS) or _is_command(call)]
    if not fetches:
        return Fine("setup() downloads nothing on its own")
    if any(word in call.name.lower() for call in calls for word in _CHECKS) or any(
        "hash_prefix" in call.sources or call.keywords.get("check_hash") is True for call in fetches
    ):
        return Fine("what setup() downloads is verified")
    return Fault(
        evidence=tuple(dict.fromkeys(f"{call.where}: {call.name}" for call in fetches)),
        change="Compare the file's sha256 with the expected one, or put the weights into the image.",
        code="if hashlib.file_digest(file, 'sha256').hexdigest() != EXPECTED: raise ...",
        severity=Severity.MEDIUM,
        how="read",
    )


def _is_command(call: CallFact) -> bool:
    if not call.name.startswith(("subprocess.", "os.system")):
        return False
    return any(_FETCH_COMMANDS.search(text) for text in (call.argument or "", call.first))


def wasted_bytes(facts: Facts) -> Outcome:
    """Find files that no worker needs, and weights that are there in several formats."""
    waste = [file for file in facts.read.files if _is_waste(file.path)]
    spare = [*_duplicates(facts.read.files)]
    total = sum(file.size_bytes for file in (*waste, *spare))
    whole = sum(file.size_bytes for file in facts.read.files)
    if total < _WORTH_BYTES:
        return Fine(f"{shown_bytes(total)} of {shown_bytes(whole)} could be left out")
    sizes: dict[str, int] = {}
    for file in waste:
        place = _waste_place(file.path)
        sizes[place] = sizes.get(place, 0) + file.size_bytes
    largest = sorted(sizes, key=lambda place: -sizes[place])[:_SHOWN]
    return Fault(
        evidence=(
            f"{shown_bytes(total)} of {shown_bytes(whole)} in the image are not needed",
            *(f"{place}: {shown_bytes(sizes[place])}" for place in largest),
            *(f"{file.path}: {shown_bytes(file.size_bytes)}, the same weights in another format" for file in spare),
        ),
        change="List them in .dockerignore.",
        code="  ".join([*largest, *(file.path for file in spare)][:_SHOWN]),
        severity=Severity.LOW,
        how="read",
    )


def _is_waste(path: str) -> bool:
    parts = PurePosixPath(path)
    return not _WASTE.isdisjoint(parts.parts[:-1]) or parts.suffix in _WASTE_SUFFIXES


def _waste_place(path: str) -> str:
    """Return the folder that is not needed, or the file itself."""
    parts = PurePosixPath(path).parts
    for depth, part in enumerate(parts[:-1], start=1):
        if part in _WASTE:
            return "**/__pycache__" if part == "__pycache__" else "/".join(parts[:depth])
    return path


def _duplicates(files: tuple[FileFact, ...]) -> Iterator[FileFact]:
    """Yield pickled weights beside safetensors in the same folder."""
    folders = {str(PurePosixPath(file.path).parent) for file in files if file.path.endswith(".safetensors")}
    for file in files:
        if file.pickled and str(PurePosixPath(file.path).parent) in folders:
            yield file


def unbuilt_source(facts: Facts) -> Outcome:
    """Find what ``cog build``, which reads the source, does not take as Python does, which imports it."""
    found = facts.read.unbuilt
    if not found:
        return Fine("cog build reads every input as it is written")
    refused = any(one.refused for one in found)
    return Fault(
        evidence=(
            *(("cog build refuses the project",) if refused else ()),
            *(f"{one.where}: {one.problem}" for one in found[:_SHOWN]),
            *((f"and {len(found) - _SHOWN} more",) if len(found) > _SHOWN else ()),
        ),
        change="Change each line so that it holds plain types and literals: Cog's build tool imports nothing.",
        code="steps: int = Input(default=20, ge=1, le=100)  # from cog import Input",
        severity=Severity.HIGH if refused else Severity.MEDIUM,
        how="read",
    )


def not_compiled(facts: Facts) -> Outcome:
    """Find commands in cog.yaml that install packages without .pyc files. Cog's own pip compiles what it installs."""
    read = facts.read
    if read.environment.get("UV_COMPILE_BYTECODE", "") not in ("", "0"):
        return Fine("UV_COMPILE_BYTECODE is set")
    commands = [
        one for one in read.commands if re.search(r"\buv (pip install|sync)\b|pip3? install .*--no-compile", one)
    ]
    loose = [one for one in commands if "--compile" not in one.replace("--no-compile", "")]
    if not loose:
        return Fine("every package is installed with .pyc files")
    return Fault(
        evidence=tuple(f"cog.yaml: {one}" for one in loose),
        change="Compile packages when the image is built.",
        code="environment: [UV_COMPILE_BYTECODE=1]  # cog.yaml; or uv pip install --compile-bytecode",
        severity=Severity.LOW,
        how="read",
    )


IMAGE_RULES = (
    Rule(
        "unpinned-packages",
        7,
        "Versions are not pinned",
        "The next build may behave differently, and the previous one cannot be reproduced.",
        unpinned_packages,
    ),
    Rule(
        "unpinned-model",
        7,
        "The model's revision is not pinned",
        "Its owner can change what you serve at any start, and there is no known version to return to.",
        unpinned_model,
    ),
    Rule(
        "pickled-weights",
        None,
        "Weights are pickled",
        "Anyone who can change the file can run code in your worker, and it loads slower than safetensors.",
        pickled_weights,
    ),
    Rule(
        "unverified-fetch",
        None,
        "Weights are fetched without verification",
        "A partial or altered file is served as if it were the model.",
        unverified_fetch,
    ),
    Rule(
        "wasted-bytes",
        None,
        "The image contains unnecessary files",
        "Every cold start on a new machine downloads them.",
        wasted_bytes,
    ),
    Rule(
        "unbuilt-source",
        None,
        "The image has other inputs than the source",
        "Callers of the image meet refusals that did not happen here, or it cannot be built at all.",
        unbuilt_source,
    ),
    Rule(
        "not-compiled",
        None,
        "Packages are installed without .pyc",
        "The first import on every new machine compiles them.",
        not_compiled,
    ),
)

"""``manifest.json``: what a model folder must hold, where it came from, and which engines it serves.

It is written last and in one step: a folder without one is a folder whose fetch has not ended. Format 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pilotlight.errors import FetchError, WeightsError
from pilotlight.loading.files.names import MANIFEST_NAME, PART_SUFFIX, STATE_SUFFIX, safe_name
from pilotlight.util.files import write_atomically

CHUNK_BYTES = 1 << 20  # big enough for sha256 to release the interpreter lock, small enough for smooth progress


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ManifestFile(_Strict):
    """One file: its path within the folder (forward slashes), size and sha256 (64 lowercase hex digits)."""

    name: str
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @field_validator("name")
    @classmethod
    def _stays_inside(cls, name: str) -> str:
        try:
            return safe_name(name)
        except FetchError as error:
            raise ValueError(str(error)) from error


TextKind = Literal["prose", "chat", "code"]


class KindCheck(_Strict):
    """How an artifact compares with its weights on one kind of text; attributes as of ``ArtifactCheck``."""

    kind: TextKind
    text: str
    text_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tokens: Annotated[int, Field(gt=0)]
    source_bits_per_byte: Annotated[float, Field(gt=0)]
    artifact_bits_per_byte: Annotated[float, Field(gt=0)]

    @property
    def loss(self) -> float:
        """The relative increase over the weights."""
        return self.artifact_bits_per_byte / self.source_bits_per_byte - 1


class ArtifactCheck(_Strict):
    """How an artifact compares with the weights that it was made from, computed in float32.

    Where several kinds of text were read, the figures are those of ``judged_by``.

    Attributes:
        text: what was read, in words; ``text_sha256`` is of exactly what was read.
        tokens: of it that were predicted, each from those before it.
        source_bits_per_byte: what the source spends on the text.
        artifact_bits_per_byte: what the artifact spends on it, with the cache precision that it is served with.
        greedy_tokens: how many tokens both were asked to go on by, all prompts together.
        greedy_agreement: the share of them that came before the first difference of their prompt.
        stages_agreement: the same of the artifact's first stage beside its batching one; ``None`` where it has none.
        source_engine: what computed the source: ``torch``, or ``openvino`` where torch is not installed.
        judged_by: the kind of text that the model is for; ``None`` for a single text.
        kinds: the figures of each kind; ``None`` for a single text, and in manifests of earlier versions.
    """

    text: str
    text_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tokens: Annotated[int, Field(gt=0)]
    source_bits_per_byte: Annotated[float, Field(gt=0)]
    artifact_bits_per_byte: Annotated[float, Field(gt=0)]
    greedy_tokens: Annotated[int, Field(ge=0)]
    greedy_agreement: Annotated[float, Field(ge=0, le=1)]
    stages_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    source_engine: Literal["torch", "openvino"] = "torch"
    judged_by: TextKind | None = None
    kinds: tuple[KindCheck, ...] | None = None

    @property
    def loss(self) -> float:
        """The relative increase over the weights: 0.01 is one percent; negative for a decrease."""
        return self.artifact_bits_per_byte / self.source_bits_per_byte - 1


class EncoderCheck(_Strict):
    """How the artifact of a classifier or an embedder compares with the weights, computed in float32.

    Attributes:
        text: what was read, in words; ``text_sha256`` is of exactly what was read.
        task: ``classify`` or ``embed``.
        texts: pieces of it that were encoded.
        largest_difference: of a score; for vectors, the largest of one minus the cosine.
        agreement: the share of texts with the same likeliest label; for vectors, with the same nearest other text.
    """

    text: str
    text_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    task: Literal["classify", "embed"]
    texts: Annotated[int, Field(gt=0)]
    largest_difference: Annotated[float, Field(ge=0)]
    agreement: Annotated[float, Field(ge=0, le=1)]

    @property
    def loss(self) -> float:
        """The share of texts with another label; for vectors, the largest difference."""
        return 1 - self.agreement if self.task == "classify" else self.largest_difference


class ManifestArtifact(_Strict):
    """One folder that an engine loads, made from the weights by ``pilotlight export`` or at set-up.

    Attributes:
        name: of its folder; its files are among the manifest's.
        made_from: sha256 of each weight file it was made from: with other weights it is of another model.
        made_with: versions of the packages that made it.
        check: how it compares with the weights; ``None`` where that was not measured.
    """

    name: Annotated[str, Field(pattern="^[a-z0-9-]+$")]
    engine: str
    precision: str
    device: str
    created_at: datetime
    made_from: dict[str, str]
    made_with: dict[str, str]
    check: ArtifactCheck | EncoderCheck | None = None


class Manifest(_Strict):
    """A model folder's contents.

    Attributes:
        source: where it came from, without any secret: ``hf://org/name@revision``, a URL, or words.
        revision: the commit that a hub revision stood for; ``None`` where the source has none.
        engines: engines that can load the folder as it is.
        artifacts: what was exported from it.
    """

    format_version: Literal[1] = 1
    source: Annotated[str, Field(min_length=1)]
    revision: str | None = None
    created_at: datetime
    engines: tuple[Annotated[str, Field(pattern="^[a-z0-9_-]+$")], ...] = ("torch",)
    artifacts: tuple[ManifestArtifact, ...] = ()
    files: tuple[ManifestFile, ...]

    @field_validator("files")
    @classmethod
    def _each_once(cls, files: tuple[ManifestFile, ...]) -> tuple[ManifestFile, ...]:
        if len({file.name for file in files}) != len(files):
            raise ValueError("a file is listed twice")
        return files

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def parse_manifest(raw: bytes, *, where: str) -> Manifest:
    """Return the manifest in ``raw``, which came from ``where``.

    Raises:
        WeightsError: it is not a manifest of format 1, or has keys that we do not know.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise WeightsError(f"{where} is not a manifest that this version reads: {place}: {first['msg']}") from error


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of ``folder``.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(
            f"{folder} has no {MANIFEST_NAME}: it is not a model folder, or not a finished one"
        ) from error
    return parse_manifest(raw, where=str(path))


def write_manifest(
    folder: Path, *, source: str, revision: str | None = None, engines: Sequence[str] = ("torch",)
) -> Manifest:
    """Describe what ``folder`` holds now: every file but hidden ones and unfinished downloads, each read once.

    Artifacts that the manifest before it listed stay listed if the weights they were made from are still here.
    """
    files = [
        ManifestFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=sha256_of(folder / name))
        for name in folder_files(folder)
    ]
    try:
        before = read_manifest(folder).artifacts
    except WeightsError:  # there is none, or it is of no use: it is about to be replaced
        before = ()
    sums = {file.name: file.sha256 for file in files}
    kept = [one for one in before if (folder / one.name).is_dir() and one.made_from.items() <= sums.items()]
    return save_manifest(folder, files, source=source, revision=revision, engines=engines, artifacts=kept)


def save_manifest(
    folder: Path,
    files: Sequence[ManifestFile],
    *,
    source: str,
    revision: str | None,
    engines: Sequence[str],
    artifacts: Sequence[ManifestArtifact] = (),
) -> Manifest:
    """Write a manifest of ``files``, whose hashes the caller has computed, in one step.

    The engines of ``artifacts`` are added to ``engines``.
    """
    manifest = Manifest(
        source=source,
        revision=revision,
        created_at=datetime.now(UTC).replace(microsecond=0),
        engines=tuple(dict.fromkeys([*engines, *(one.engine for one in artifacts)])),
        artifacts=tuple(sorted(artifacts, key=lambda one: one.name)),
        files=tuple(sorted(files, key=lambda file: file.name)),
    )
    # Without artifacts it is as it was before there were any, so that older readers take it.
    text = manifest.model_dump_json(indent=2, exclude=None if artifacts else {"artifacts"})
    write_atomically(folder / MANIFEST_NAME, f"{text}\n", fsync=True)
    return manifest


def folder_files(folder: Path) -> list[str]:
    """Return the names that a manifest of ``folder`` lists, sorted."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(
        name
        for name in names
        if name != MANIFEST_NAME
        and not name.endswith((PART_SUFFIX, STATE_SUFFIX))
        and not any(part.startswith(".") for part in name.split("/"))
    )


def sha256_of(path: Path, *, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """Return the sha256 of a file in hex; ``on_bytes`` gets the size of every chunk, and may raise to stop."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()

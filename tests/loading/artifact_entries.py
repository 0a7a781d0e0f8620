"""Artifacts in a manifest, without making or checking any."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.files.manifest import ArtifactCheck, ManifestArtifact, read_manifest, save_manifest

__all__ = ["CHECK", "entry", "list_artifact"]

CHECK = ArtifactCheck(
    text="made up",
    text_sha256="0" * 64,
    tokens=100,
    source_bits_per_byte=2.0,
    artifact_bits_per_byte=2.02,
    greedy_tokens=10,
    greedy_agreement=0.5,
)


def entry(name: str, made_from: dict[str, str]) -> ManifestArtifact:
    engine, precision, device = name.split("-")
    return ManifestArtifact(
        name=name,
        engine=engine,
        precision=precision,
        device=device,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        made_from=made_from,
        made_with={},
        check=CHECK,
    )


def list_artifact(model: Path, artifact: Artifact) -> None:
    """Add it to the manifest, as made from the safetensors that the manifest has."""
    manifest = read_manifest(model)
    made_from = {file.name: file.sha256 for file in manifest.files if file.name.endswith(".safetensors")}
    save_manifest(
        model,
        manifest.files,
        source=manifest.source,
        revision=manifest.revision,
        engines=manifest.engines,
        artifacts=[*manifest.artifacts, entry(artifact.folder.name, made_from)],
    )

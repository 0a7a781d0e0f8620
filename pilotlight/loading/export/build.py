"""Make an artifact of a model: convert, check, and only then let it into the model's folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pilotlight.errors import ConfigError, PilotlightError, UsageError
from pilotlight.loading.export.environment import ExporterError, environment, run_logged
from pilotlight.loading.export.graph.build import graph_files, require_graph
from pilotlight.loading.export.graph.shape import UnsupportedModelError
from pilotlight.loading.files.artifacts import PRECISIONS, Artifact, artifact_name
from pilotlight.loading.files.checks.exportable import require_exportable
from pilotlight.loading.files.loadable import check_loadable
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.files.manifest import (
    ArtifactCheck,
    EncoderCheck,
    Manifest,
    ManifestArtifact,
    ManifestFile,
    read_manifest,
    save_manifest,
    sha256_of,
    write_manifest,
)
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.loading.progress import Watcher

__all__ = [
    "CONVERTERS",
    "KINDS",
    "Converter",
    "Exported",
    "LossError",
    "built_files",
    "export",
    "onnx_files",
    "openvino_files",
    "require_kind",
]

# What can be made: the precisions for each engine and device. onnxruntime computes in float32 on a processor.
KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("openvino", "cpu"): PRECISIONS,
    ("onnx", "cpu"): ("int8", "int4", "fp32"),
}
HERE = Path(__file__).parent
Converter = Callable[[Sequence[tuple[Path, Path]], str, Mapping[str, str], Watcher], dict[str, str]]


class LossError(PilotlightError):
    """The artifact is worse than was allowed, so it was not kept."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export."""

    artifact: Artifact
    entry: ManifestArtifact
    size_bytes: int


def export(
    model: Path,
    *,
    engine: str,
    precision: str,
    device: str,
    max_loss: float,
    check: Callable[[Artifact], ArtifactCheck | EncoderCheck | None],
    environ: Mapping[str, str],
    watcher: Watcher,
    convert: Converter | None = None,
) -> Exported:
    """Make the artifact for ``engine`` in ``precision`` and list it in the model's manifest.

    Whatever goes wrong, Ctrl-C included, leaves the folder as it was.

    Args:
        model: a model folder; it gets a manifest if it has none.
        engine: with ``device`` one of ``KINDS``.
        precision: one of those that ``KINDS`` has for them.
        device: ``cpu``.
        max_loss: by how much more than the source the artifact may spend on the check's text; 0.03 is three percent.
        check: measures a finished artifact that is not in its place yet; may add files to it. ``None``: not measured.
        environ: where the exporter's environment goes, and for the programs that run in it.
        watcher: told what happens.
        convert: what makes the files; default: ``built_files`` or ``onnx_files``.

    Raises:
        ConfigError: nothing makes this kind of artifact.
        UsageError: this folder is not to be written into.
        WeightsError: the model is incomplete or damaged, or no exporter reads it.
        ExporterError: the exporter failed, mostly because it does not know the architecture.
        LossError: the artifact is worse than ``max_loss`` allows.
    """
    require_kind(engine, precision, device)
    weights = check_loadable(model)
    require_exportable(model)
    if model.resolve().parent.name == "snapshots":
        raise UsageError(f"{model} belongs to a shared cache: copy the model first, with pilotlight weights fetch")
    name = artifact_name(engine, precision, device)
    draft = model / f".{name}.new"  # hidden: no manifest lists it, and no verification looks at it
    with folder_lock(model, on_wait=lambda: watcher.note(f"waiting for another process that works on {model}")):
        shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
        try:
            versions = (convert or CONVERTERS[engine])([(model, draft)], precision, environ, watcher)
            checked = check(Artifact(draft, engine, precision, device))
            if checked is not None:
                _require(checked, max_loss)
            manifest = _manifest(model)
            entry = ManifestArtifact(
                name=name,
                engine=engine,
                precision=precision,
                device=device,
                created_at=datetime.now(UTC).replace(microsecond=0),
                made_from={file.name: file.sha256 for file in manifest.files if model / file.name in weights},
                made_with=versions,
                check=checked,
            )
            files = [
                ManifestFile(name=f"{name}/{path.name}", size_bytes=path.stat().st_size, sha256=sha256_of(path))
                for path in sorted(draft.iterdir())
            ]
            _put(draft, model, manifest, entry, files)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    artifact = Artifact(model / name, engine, precision, device)
    return Exported(artifact, entry, sum(file.size_bytes for file in files))


def require_kind(engine: str, precision: str, device: str) -> None:
    """Refuse an engine, a precision or a model that no converter supports.

    Raises:
        ConfigError: saying what there is.
    """
    precisions = KINDS.get((engine, device))
    if precisions is None:
        there = " and ".join(f"{one} on {where}" for one, where in KINDS)
        raise ConfigError(f"nothing here exports for {engine} on {device}; there is {there}")
    if precision not in precisions:
        raise ConfigError(
            f"nothing here exports {precision} for {engine} on {device}; there is {', '.join(precisions)}"
        )


def built_files(
    folders: Sequence[tuple[Path, Path]], precision: str, environ: Mapping[str, str], watcher: Watcher
) -> dict[str, str]:
    """Write models as OpenVINO IR with our own builder, or with the exporter where the builder does not know one.

    Arguments and errors as of ``openvino_files``.
    """
    try:
        for model, _ in folders:
            require_graph(model)
        return graph_files(folders, precision, environ, watcher)
    except UnsupportedModelError as error:
        watcher.note(f"using the exporter: {error}")
    for _, out in folders:
        shutil.rmtree(out, ignore_errors=True)
    return openvino_files(folders, precision, environ, watcher)


def openvino_files(
    folders: Sequence[tuple[Path, Path]],
    precision: str,
    environ: Mapping[str, str],
    watcher: Watcher,
    *,
    script: str = "convert_openvino.py",
) -> dict[str, str]:
    """Write models in ``precision`` as OpenVINO IR, with the exporter; return the versions of what made them.

    Args:
        folders: (model, folder to make) of each.
        precision: as in ``artifacts.PRECISIONS``.
        environ: as for ``export``.
        watcher: as for ``export``.
        script: what converts: ``convert_encoder.py`` for classifiers and embedders.

    Raises:
        ConfigError, ExporterError: as ``environment``; the exporter failed.
    """
    return _convert("openvino.txt", script, folders, precision, environ, watcher)


def onnx_files(
    folders: Sequence[tuple[Path, Path]], precision: str, environ: Mapping[str, str], watcher: Watcher
) -> dict[str, str]:
    """Write models in ``precision`` as ONNX, for the onnx engine; arguments and errors as of ``openvino_files``."""
    return _convert("onnx.txt", "convert_onnx.py", folders, precision, environ, watcher)


CONVERTERS: dict[str, Converter] = {"openvino": built_files, "onnx": onnx_files}


def _convert(
    requirements: str,
    script: str,
    folders: Sequence[tuple[Path, Path]],
    precision: str,
    environ: Mapping[str, str],
    watcher: Watcher,
) -> dict[str, str]:
    python = environment(HERE / requirements, environ, watcher)
    versions: dict[str, str] = {}
    reasons: list[str] = []

    def on_line(line: str) -> None:
        kind, _, text = line.partition(" ")
        if kind == "error":
            reasons.append(text)
        elif kind == "version":
            package, _, version = text.partition(" ")
            versions[package] = version
        elif kind == "note":
            watcher.note(text)

    paths = [path.resolve() for pair in folders for path in pair]
    try:
        run_logged([python, "-I", HERE / script, precision, *paths], environ, on_line)
    except ExporterError as error:
        if not reasons:
            raise
        raise ExporterError(f"the exporter does not take {reasons[0]}") from error
    return versions


def _require(checked: ArtifactCheck | EncoderCheck, max_loss: float) -> None:
    if not checked.loss <= max_loss:  # not a number is not within it either
        raise LossError(
            f"{_words(checked)}, and --max-loss allows {max_loss:.2%}. Nothing was kept; choose a higher precision, or "
            "allow more"
        )


def _words(checked: ArtifactCheck | EncoderCheck) -> str:
    if isinstance(checked, EncoderCheck):
        return (
            f"on {checked.texts} texts it agrees with the source for {checked.agreement:.1%} and differs by up to "
            f"{checked.largest_difference:.4f}"
        )
    others = [f"{one.loss:+.2%} on {one.kind}" for one in checked.kinds or () if one.kind != checked.judged_by]
    return (
        f"it spends {checked.artifact_bits_per_byte:.4f} bits per byte on {checked.text}, the source "
        f"{checked.source_bits_per_byte:.4f}: {checked.loss:+.2%}{''.join(f', {one}' for one in others)}"
    )


def _manifest(model: Path) -> Manifest:
    if (model / MANIFEST_NAME).exists():
        return read_manifest(model)
    return write_manifest(model, source=f"the folder {model.resolve().name}")


def _put(draft: Path, model: Path, manifest: Manifest, entry: ManifestArtifact, files: list[ManifestFile]) -> None:
    """Move the artifact into its place and list it.  Interrupted in between, it is there but listed nowhere: unused."""
    place = model / entry.name
    shutil.rmtree(place, ignore_errors=True)
    draft.rename(place)
    save_manifest(
        model,
        [*(file for file in manifest.files if not file.name.startswith(f"{entry.name}/")), *files],
        source=manifest.source,
        revision=manifest.revision,
        engines=manifest.engines,
        artifacts=[*(one for one in manifest.artifacts if one.name != entry.name), entry],
    )

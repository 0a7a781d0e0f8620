"""Find the folder of the model that a reference names, without the network wherever that is possible.

Runs at every cold start: the standard library only, unless it comes to a download. Source of the cache layouts:
https://huggingface.co/docs/huggingface_hub/guides/manage-cache and RunPod's documents on cached models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotlight.config.variables import RUNPOD_CACHE, TEXT_MODELS
from pilotlight.errors import ConfigError, UnsafeWeightsError, WeightsError
from pilotlight.loading.fetch.hub_id import HubId, parse_hub_id
from pilotlight.loading.files.gguf_names import find_gguf, holds_gguf, is_gguf
from pilotlight.loading.files.loadable import check_loadable, read_json
from pilotlight.loading.files.names import MANIFEST_NAME

__all__ = ["check_loadable", "default_model", "find_model"]

DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that may hold the model, and the words for where that is."""

    words: str
    folder: Path


def find_model(ref: str, *, weights_dir: Path | None = None, environ: Mapping[str, str]) -> Path:
    """Return the folder of the model ``ref``.

    ``ref`` is a folder, a GGUF file, the name of one under ``weights_dir`` (``weights`` by default), or a hub id
    ``org/name[@revision][#file.gguf]``. A GGUF file, or a folder with one and no safetensors, is converted at its first
    use, into ``PILOTLIGHT_CACHE``. A hub id is looked for in ``weights_dir`` (by the manifests' sources), in RunPod's
    model cache (``PILOTLIGHT_RUNPOD_CACHE`` moves it), in the Hugging Face cache (``HF_HUB_CACHE``, ``HF_HOME``), and
    then fetched into ``weights_dir``, unless ``HF_HUB_OFFLINE`` is set. What is found incomplete is passed over.

    Raises:
        ConfigError: ``ref`` names nothing.
        WeightsError: it is not here, and cannot or may not be fetched.
        UnsafeWeightsError: all there is of it are pickles.
    """
    weights_dir = Path("weights") if weights_dir is None else weights_dir
    if not ref.strip():
        raise ConfigError("the model's name is empty: give a folder, a name under weights/, or a hub id org/name")
    if (path := _path(ref)) or ("/" not in ref and (path := _path(str(weights_dir / ref)))):
        return _served(path, environ)
    hub_id = None if is_gguf(ref) and "#" not in ref else parse_hub_id(ref)
    if hub_id is None or ref.startswith((".", "/", "~")):
        raise ConfigError(
            f"{ref!r} is no model: it is not a folder or a GGUF file, not one of {weights_dir}/ "
            f"({_names(weights_dir)}), and not a hub id of the form org/name, org/name@revision or org/name#file.gguf"
        )
    passed_over: list[str] = []
    for place in _places(hub_id, weights_dir, environ):
        try:
            folder = _served(place.folder, environ, hub_id.file)
            check_loadable(folder)
        except (WeightsError, UnsafeWeightsError) as error:
            passed_over.append(f"{place.words}: {error}")
        else:
            return folder
    if _is_true(environ.get("HF_HUB_OFFLINE")) or _is_true(environ.get("TRANSFORMERS_OFFLINE")):
        seen = "; ".join(passed_over) or f"neither in {weights_dir}/ nor in RunPod's or Hugging Face's cache"
        raise WeightsError(f"{ref} is not on this machine ({seen}), and HF_HUB_OFFLINE forbids to fetch it")
    return _served(_fetch(hub_id, weights_dir, environ), environ, hub_id.file)


def default_model(weights_dir: Path) -> tuple[str, str]:
    """Return the text model in ``weights_dir`` that is served where none is named, and a remark for the log.

    The remark is empty where the model is the preferred one.
    """
    preferred, *others = TEXT_MODELS
    if (weights_dir / preferred / MANIFEST_NAME).is_file():
        return preferred, ""
    here = next((name for name in others if (weights_dir / name / MANIFEST_NAME).is_file()), others[-1])
    return here, f"serving {here}: {preferred} is not here; `pilotlight weights fetch {preferred}` fetches it"


def _path(text: str) -> Path | None:
    """Return the folder or the GGUF file that ``text`` names."""
    try:
        path = Path(text).expanduser()
        return path if path.is_dir() or (is_gguf(path.name) and path.is_file()) else None
    except (OSError, ValueError, RuntimeError):  # too long for a name, a NUL in it, the home of nobody
        return None


def _served(path: Path, environ: Mapping[str, str], file: str | None = None) -> Path:
    """Return the folder to load: ``path``, or the one converted from its GGUF file (``file`` where one is named)."""
    if path.is_dir():
        gguf = path / file if file else find_gguf(path) if holds_gguf(path) else None
        if gguf is None:
            return path
        if not gguf.is_file():
            raise WeightsError(f"{path} has no {file}")
        path = gguf
    from pilotlight.loading.gguf.first_use import converted_folder

    return converted_folder(path, environ=environ)


def _fetch(hub_id: HubId, weights_dir: Path, environ: Mapping[str, str]) -> Path:
    from pilotlight.loading.fetch.model import fetch  # imports an HTTP client, pydantic and huggingface_hub

    return fetch(f"hf://{hub_id}", weights_dir=weights_dir, environ=environ).folder


def _places(hub_id: HubId, weights_dir: Path, environ: Mapping[str, str]) -> Iterator[_Place]:
    for manifest in sorted(weights_dir.glob(f"*/{MANIFEST_NAME}")):
        if _is_of(manifest, hub_id):
            yield _Place(f"{weights_dir}/", manifest.parent)
    caches = (
        ("RunPod's cache", RUNPOD_CACHE.read(environ)),
        ("Hugging Face's cache", hub_cache(environ)),
    )
    for words, root in caches:
        snapshot = find_snapshot(root, hub_id)
        if snapshot is not None:
            yield _Place(words, snapshot)


def hub_cache(environ: Mapping[str, str]) -> Path:
    """Return the folder of ``huggingface_hub``'s cache."""
    if environ.get("HF_HUB_CACHE"):
        return Path(environ["HF_HUB_CACHE"]).expanduser()
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub"
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def find_snapshot(root: Path, hub_id: HubId) -> Path | None:
    """Return the snapshot of ``hub_id`` in a cache laid out like the Hub's.

    A revision is a commit or a name under ``refs/``. RunPod's cache may come without refs: then the newest snapshot
    stands for the default revision, and for no other.
    """
    repo = root / ("models--" + hub_id.repo.replace("/", "--"))
    revision = hub_id.revision or DEFAULT_REVISION
    if (repo / "snapshots" / revision).is_dir():
        return repo / "snapshots" / revision
    ref = repo / "refs" / revision
    if ref.is_file():
        snapshot = repo / "snapshots" / ref.read_text("utf-8").strip()
        return snapshot if snapshot.is_dir() else None
    if revision != DEFAULT_REVISION:
        return None
    snapshots = [path for path in repo.glob("snapshots/*") if path.is_dir()]
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


def _is_of(manifest: Path, hub_id: HubId) -> bool:
    try:
        content = read_json(manifest)
    except WeightsError:
        return False  # somebody else's folder may be damaged without keeping us from ours
    source = parse_hub_id(str(content.get("source")))
    if source is None or not str(content.get("source")).startswith("hf://"):
        return False
    if (source.repo, source.file) != (hub_id.repo, hub_id.file):
        return False
    asked = hub_id.revision or DEFAULT_REVISION
    return asked in ((source.revision or DEFAULT_REVISION), content.get("revision"))


def _names(weights_dir: Path) -> str:
    return ", ".join(sorted(path.name for path in weights_dir.glob("*") if path.is_dir())) or "which is empty"


def _is_true(value: str | None) -> bool:
    return (value or "").upper() in ("1", "ON", "YES", "TRUE")

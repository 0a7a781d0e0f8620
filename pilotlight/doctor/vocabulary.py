"""The names of functions and files that the rules recognize."""

from __future__ import annotations

from pathlib import PurePath

__all__ = [
    "BLOCKING",
    "DOWNLOADERS",
    "LOADERS",
    "PICKLE_LOADERS",
    "PICKLE_SUFFIXES",
    "WEIGHT_SUFFIXES",
    "is_loader",
    "is_weight",
    "matches",
]

# A pattern is a dotted name, or the end of one if it begins with a dot.
LOADERS = (
    ".from_pretrained",
    ".from_single_file",
    ".load_from_checkpoint",
    "diffusers.pipeline",
    "joblib.load",
    "keras.models.load_model",
    "onnxruntime.InferenceSession",
    "open_clip.create_model_and_transforms",
    "pickle.load",
    "safetensors.safe_open",
    "safetensors.torch.load_file",
    "sentence_transformers.CrossEncoder",
    "sentence_transformers.SentenceTransformer",
    "tensorflow.keras.models.load_model",
    "tensorflow.saved_model.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.load",
    "transformers.pipeline",
    "ultralytics.YOLO",
    "whisper.load_model",
)
PICKLE_LOADERS = ("pickle.load", "joblib.load", "dill.load", "cloudpickle.load", "torch.load")
DOWNLOADERS = (
    "requests.get",
    "httpx.get",
    "httpx.stream",
    "urllib.request.urlretrieve",
    "urllib.request.urlopen",
    "wget.download",
    "gdown.download",
    "torch.hub.download_url_to_file",
    "torch.hub.load_state_dict_from_url",
)
BLOCKING = (
    "time.sleep",
    "requests.get",
    "requests.post",
    "httpx.get",
    "httpx.post",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "os.system",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "self.model.generate",
    "self.pipe",
    "self.pipeline",
    *LOADERS,
)
WEIGHT_SUFFIXES = frozenset(
    [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".pkl", ".pickle", ".joblib", ".h5", ".npz"]
)
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"})


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a dotted name matches one of the patterns."""
    return any(name.endswith(one) if one.startswith(".") else name == one for one in patterns)


def is_loader(name: str) -> bool:
    """Return whether a function of that name reads weights."""
    return matches(name, LOADERS)


def is_weight(path: PurePath) -> bool:
    """Return whether a file of that name holds weights."""
    return path.suffix.lower() in WEIGHT_SUFFIXES

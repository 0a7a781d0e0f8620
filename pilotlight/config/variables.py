"""Every environment variable that pilotlight reads: the one table of their names, types, defaults and meanings.

Imported at every cold start: the standard library only. A setting is read once, where a program begins, into one of
the objects of this package. Two kinds of program read the table's names by themselves, because they must not import
this package: the hooks of ``bench cold`` and ``doctor``, which run before a predictor's first import, and the shell
scripts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pilotlight.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)

PREFIX = "PILOTLIGHT_"
LOOPBACK = "127.0.0.1"
GATEWAY_PORT = 8394
SERVE_PORT = 8393
PLATFORMS = ("cog", "runpod", "vertex", "sagemaker", "ray")
# The text models that are served where none is named: the first of them that is complete in weights/. The last comes
# with the project, and `scripts/predict` fetches the first.
TEXT_MODELS = ("smollm2-135m-instruct", "pylight-5m")
ENCODER_MODEL = "pylight-areas"


@dataclass(frozen=True, slots=True)
class Variable(Generic[T_co]):
    """One environment variable.

    Attributes:
        name: as in the environment.
        parse: the value of a text; raises ``ValueError`` for one that is not allowed.
        expected: what is allowed, for messages: "PILOTLIGHT_SLOTS is 'x'; expected ...".
        default: the value where the variable is not set, or is empty.
        about: what it does, in one sentence.
        reader: the part of pilotlight that reads it.
        unit: of a number.
        shown: what the reference says of the default, where that depends on something else.
        internal: whether pilotlight sets it for processes that it starts, and nobody else should.
    """

    name: str
    parse: Callable[[str], T_co]
    expected: str
    default: T_co
    about: str
    reader: str
    unit: str = ""
    shown: str = ""
    internal: bool = False

    def read(self, environ: Mapping[str, str]) -> T_co:
        """Return the variable's value in ``environ``, or its default.

        Raises:
            ConfigError: the value is not allowed.
        """
        text = environ.get(self.name, "")
        if not text:
            return self.default
        try:
            return self.parse(text)
        except ValueError:
            raise ConfigError(f"{self.name} is {text!r}; expected {self.expected}") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that takes these words only."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(text)
    return int(text)


def amount(text: str) -> float:
    """Parse a finite number of at least 0."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def size_gb(text: str) -> float:
    """Parse a finite number above 0."""
    value = amount(text)
    if value == 0:
        raise ValueError(text)
    return value


def flag(text: str) -> bool:
    """Parse ``0`` or ``1``."""
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


_COUNT = "a whole number of at least 1"

MODEL: Variable[str | None] = Variable(
    "PILOTLIGHT_MODEL",
    str,
    "a folder or a GGUF file, the name of one in weights/, or a hub id org/name[@revision][#file.gguf]",
    None,
    "The model: a folder or a GGUF file, the name of one in `weights/`, or a hub id `org/name[@revision][#file.gguf]`.",
    "predictor",
    shown=f"`{TEXT_MODELS[0]}` once it is fetched, else `{TEXT_MODELS[-1]}`; `{ENCODER_MODEL}` for classifiers and "
    "embedders",
)
ENGINES = ("auto", "openvino", "onnx", "torch")
ENGINE = Variable(
    "PILOTLIGHT_ENGINE",
    one_of(*ENGINES),
    f"one of {', '.join(ENGINES)}",
    "auto",
    "The engine; `auto` takes the model's fastest artifact for this machine's processor, and torch where there is a "
    "GPU or no artifact.",
    "predictor",
)
DEVICE = Variable(
    "PILOTLIGHT_DEVICE",
    str,
    "auto, cpu, cuda, cuda:N or mps",
    "auto",
    "The device; `auto` takes a GPU where there is one.",
    "predictor",
)
DTYPE = Variable(
    "PILOTLIGHT_DTYPE",
    str,
    "auto, or a precision such as float32, bfloat16 or int8",
    "auto",
    "The precision, as torch calls it (`float32`, `float16`, `bfloat16`) or as an artifact does (`fp32`, `int8`, "
    "`int4`).",
    "predictor",
)
CACHE_GB: Variable[float | None] = Variable(
    "PILOTLIGHT_CACHE_GB",
    size_gb,
    "a number above 0, in GB",
    None,
    "The memory for keys and values of all text predictions together; without it, a share of what is free once the "
    "model is loaded.",
    "predictor",
    unit="GB",
    shown="planned at start",
)
STAGED = Variable(
    "PILOTLIGHT_STAGED",
    one_of("1", "0", "first"),
    "1, 0 to be ready only once all of it is up, or first to load no more than the first stage",
    "1",
    "Whether an engine that can do so answers, one request at a time, before all of it is loaded: `0` waits for all, "
    "`first` loads no more, as `pilotlight predict` does.",
    "predictor",
)
DETERMINISTIC = Variable(
    "PILOTLIGHT_DETERMINISTIC",
    flag,
    "0, or 1 for texts that do not depend on other requests",
    False,
    "Whether a request's greedy text is the same whichever requests run beside it: everything is computed in float32, "
    "which takes more memory and is slower where 16 bits or 8 bits are fast.",
    "predictor",
)
COG_MAX_CONCURRENCY = Variable(
    "COG_MAX_CONCURRENCY",
    count,
    _COUNT,
    16,
    "How many predictions Cog sends to a predictor at once; Cog sets it from `@concurrent` of the predictor.",
    "predictor",
)
SLOTS: Variable[int | None] = Variable(
    "PILOTLIGHT_SLOTS",
    count,
    _COUNT,
    None,
    "How many text predictions advance together.",
    "predictor",
    unit="predictions",
    shown="as many as Cog sends (`COG_MAX_CONCURRENCY`), else 16",
)
QUEUE: Variable[int | None] = Variable(
    "PILOTLIGHT_QUEUE",
    count,
    _COUNT,
    None,
    "How many further predictions may wait for a slot; for classifiers and embedders, how many texts may be inside, "
    "running ones included.",
    "predictor",
    unit="predictions or texts",
    shown="as many as slots; 1024 texts",
)
POOLING = Variable(
    "PILOTLIGHT_POOLING",
    one_of("auto", "mean", "cls", "last", "max", "weighted", "sqrt"),
    "auto, mean, cls, last, max, weighted or sqrt",
    "auto",
    "How an embedder makes one vector of a text's tokens; `auto` does as the model's files say, else `mean`.",
    "predictor",
)
BATCH = Variable(
    "PILOTLIGHT_BATCH",
    count,
    _COUNT,
    32,
    "How many texts a classifier or an embedder computes together at most.",
    "predictor",
    unit="texts",
)
BATCH_WAIT_MS = Variable(
    "PILOTLIGHT_BATCH_WAIT_MS",
    amount,
    "a number of at least 0",
    5.0,
    "How long a text may wait for others to share its batch, where sharing saves time.",
    "predictor",
    unit="milliseconds",
)
RUNPOD_CACHE = Variable(
    "PILOTLIGHT_RUNPOD_CACHE",
    Path,
    "a folder",
    Path("/runpod-volume/huggingface-cache/hub"),
    "The folder of RunPod's model cache, in which a hub id is looked for.",
    "predictor",
)
READ_AHEAD = Variable(
    "PILOTLIGHT_READ_AHEAD",
    flag,
    "1, or 0 to leave reading to the predictor",
    True,
    "Whether a start has the system read the files of `start-files.json` ahead.",
    "predictor",
)
FULL_IMPORTS = Variable(
    "PILOTLIGHT_FULL_IMPORTS",
    flag,
    "0, or 1 to import all of transformers",
    False,
    "Whether all of transformers is imported; `1` shows whether a fault comes from importing only the parts in use.",
    "predictor",
)
CACHE: Variable[Path | None] = Variable(
    "PILOTLIGHT_CACHE",
    Path,
    "a folder",
    None,
    "The folder for what is made once and used again: the environments of `pilotlight export`, and what the torch "
    "engine's check of a model found.",
    "predictor",
    shown="`pilotlight` in `XDG_CACHE_HOME`, else in `~/.cache`",
)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder that ``PILOTLIGHT_CACHE`` names, else ``pilotlight`` in the user's folder of caches."""
    if (cache := CACHE.read(environ)) is not None:
        return cache.expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pilotlight"


HOME = Variable(
    "PILOTLIGHT_HOME",
    Path,
    "a folder",
    Path("~/.pilotlight"),
    "The folder of a gateway: its database, uploads, tokens, and all that was pushed.",
    "gateway",
)
GATEWAY_TOKEN: Variable[str | None] = Variable(
    "PILOTLIGHT_GATEWAY_TOKEN",
    str,
    "a token",
    None,
    "What callers of this gateway must send, besides the tokens of `pilotlight token`.",
    "gateway",
    shown="none",
)
API_TOKEN: Variable[str | None] = Variable(
    "PILOTLIGHT_API_TOKEN",
    str,
    "a token",
    None,
    "The token that the client, and commands that call a gateway, send to it.",
    "commands that call a gateway",
    shown="none",
)
TOKEN: Variable[str | None] = Variable(
    "PILOTLIGHT_TOKEN",
    str,
    "a token",
    None,
    "The old name of both `PILOTLIGHT_GATEWAY_TOKEN` and `PILOTLIGHT_API_TOKEN`, for where they are not set.",
    "gateway, client",
    shown="none",
)
URL = Variable(
    "PILOTLIGHT_URL",
    str,
    "an address such as http://127.0.0.1:8394",
    f"http://{LOOPBACK}:{GATEWAY_PORT}",
    "The gateway that commands such as `pilotlight top` call.",
    "commands that call a gateway",
)
SERVE_HOST = Variable(
    "PILOTLIGHT_SERVE_HOST",
    str,
    "an IP address",
    LOOPBACK,
    "The address that `pilotlight serve` listens on.",
    "pilotlight serve",
)
SERVE_ON = Variable(
    "PILOTLIGHT_SERVE_ON",
    one_of(*PLATFORMS),
    f"one of {', '.join(PLATFORMS)}",
    "cog",
    f"The platform whose contract `pilotlight serve` speaks: {', '.join(f'`{name}`' for name in PLATFORMS)}.",
    "pilotlight serve",
)
STAMPS: Variable[Path | None] = Variable(
    "PILOTLIGHT_STAMPS",
    Path,
    "a folder",
    None,
    "The folder into which a predictor writes when the stages of its start began and ended.",
    "bench cold",
    shown="none: nothing is written",
    internal=True,
)
STAMPS_PREDICTOR: Variable[Path | None] = Variable(
    "PILOTLIGHT_STAMPS_PREDICTOR",
    Path,
    "a file",
    None,
    "The predictor's module, whose import is a stage of its own.",
    "bench cold",
    shown="none",
    internal=True,
)
STAMPS_FILES = Variable(
    "PILOTLIGHT_STAMPS_FILES",
    bool,
    "1",
    False,
    "Whether the files that a start opens are written down too.",
    "bench cold, start-files, doctor",
    internal=True,
)
LOOP: Variable[Path | None] = Variable(
    "PILOTLIGHT_LOOP",
    Path,
    "a folder",
    None,
    "The folder into which a predictor writes when its event loop was blocked.",
    "doctor",
    shown="none: nothing is written",
    internal=True,
)
VENV: Variable[Path | None] = Variable(
    "PILOTLIGHT_VENV",
    Path,
    "a folder",
    None,
    "The virtual environment that the scripts make and use.",
    "scripts",
    shown="`.venv` in the project",
)
WORKER_PYTHON: Variable[Path | None] = Variable(
    "PILOTLIGHT_WORKER_PYTHON",
    Path,
    "a file",
    None,
    "The Python that measured predictors run on, one without the packages that only tests need.",
    "scripts",
    shown="the virtual environment's",
)

VARIABLES: tuple[Variable[object], ...] = (
    MODEL,
    ENGINE,
    DEVICE,
    DTYPE,
    CACHE_GB,
    STAGED,
    DETERMINISTIC,
    SLOTS,
    QUEUE,
    POOLING,
    BATCH,
    BATCH_WAIT_MS,
    RUNPOD_CACHE,
    READ_AHEAD,
    FULL_IMPORTS,
    CACHE,
    HOME,
    GATEWAY_TOKEN,
    API_TOKEN,
    TOKEN,
    URL,
    SERVE_HOST,
    SERVE_ON,
    STAMPS,
    STAMPS_PREDICTOR,
    STAMPS_FILES,
    LOOP,
    VENV,
    WORKER_PYTHON,
)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a message for each variable in ``environ`` that begins like one of ours and is not in the table."""
    known = {variable.name for variable in VARIABLES}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [_unknown(name, sorted(known)) for name in unknown]


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # seldom needed, and a start has no time for it

    # Compared without what all of them begin with.
    close = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1, cutoff=0.7)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else "; docs/reference/settings.md lists those there are"
    return f"{name} is set, but pilotlight has no such setting{hint}"

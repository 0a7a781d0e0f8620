"""Imports transformers without the modules that serving on one device never runs; all other modules import it here.

A causal language model imports 1,700 modules on top of torch's 1,100, and most of them serve other purposes. Some are
left out before transformers is imported. transformers itself is not changed, and code that needs one of them later
still gets it:

- ``torch._dynamo``, and with it ``torch._inductor``, sympy and mpmath: see ``_Deferred``.
- ``torch.distributed.tensor`` and its dependencies: transformers supports builds of torch without it, and is told that
  this is one.
- scipy, which the losses of object detection use where it is installed: likewise.
- the index of transformers' own source, which is cached: see ``index_cache``.

``PILOTLIGHT_FULL_IMPORTS=1`` imports everything, to find out whether this module causes a problem.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial, wraps
from types import FunctionType, ModuleType
from typing import Any

import torch

from pilotlight.config.variables import FULL_IMPORTS
from pilotlight.engines.torch.index_cache import after_import, cache_index

# Decorators and functions that mark an object for the compiler and return it.
_MARKS = ("allow_in_graph", "assume_constant_result", "mark_static_address")
_ABSENT = ("is_scipy_available", "is_torch_distributed_available")

_lock = threading.RLock()


class _Deferred(ModuleType):
    """``torch._dynamo`` before its body has run: transformers imports it to mark functions for a compiler.

    Its submodules can be imported, marks are remembered, and a function that it disables compilation for is called as
    it is: without dynamo nothing is compiled. Any other attribute, for ``torch.compile`` say, runs the body first and
    then applies the marks.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if "_begun" not in self.__dict__:
            if name in _MARKS:
                return partial(self._remember, name)
            if name == "disable":
                return self._disable
        with _lock:  # another thread may be running the body
            if "_begun" not in self.__dict__:
                self._run()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def _run(self) -> None:
        marks: list[tuple[str, weakref.ref[Any], dict[str, Any]]] = self.__dict__.pop("_marks", [])
        self.__dict__["_begun"] = True
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        self.__class__ = ModuleType  # type: ignore[assignment] # from here on it is the real module
        for name, target, options in marks:
            if (marked := target()) is not None:
                self.__dict__[name](marked, **options)

    def _remember(self, name: str, target: Any, **options: Any) -> Any:
        self.__dict__.setdefault("_marks", []).append((name, weakref.ref(target), options))
        return target

    def _disable(self, fn: Any = None, recursive: bool = True, **options: Any) -> Any:
        if fn is None:
            return partial(self._disable, recursive=recursive, **options)
        if not isinstance(fn, FunctionType):
            with _lock:
                self._run()
            return self.__dict__["disable"](fn, recursive, **options)
        disabled: list[Callable[..., Any]] = []

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if type(self) is _Deferred:  # also while another thread is running the body
                return fn(*args, **kwargs)
            if not disabled:
                disabled.append(self.__dict__["disable"](fn, recursive, **options))
            return disabled[0](*args, **kwargs)

        return call


def _defer_dynamo() -> None:
    name = "torch._dynamo"
    spec = importlib.util.find_spec(name)
    if spec is None or name in sys.modules:
        return
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Deferred
    sys.modules[name] = module
    torch._dynamo = module  # as an import would do


def _leave_out_the_rest(import_utils: ModuleType) -> None:
    for name in _ABSENT:
        setattr(import_utils, name, lambda: False)
    cache_index(import_utils)


if not FULL_IMPORTS.read(os.environ):
    _defer_dynamo()
    after_import("transformers.utils.import_utils", _leave_out_the_rest)

# Not at the top: after the code above.
import transformers  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoTokenizer,
    ContinuousBatchingConfig,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)
from transformers.generation.continuous_batching.cache import (  # noqa: E402
    SLIDING_ATTENTION,
    PagedAttentionMemoryHandler,
    group_layers_by_attn_type,
)
from transformers.generation.continuous_batching.cb_logits_processors import (  # noqa: E402
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.continuous_batching.continuous_api import OutputRouter  # noqa: E402
from transformers.generation.continuous_batching.model_runner import infer_max_single_request_tokens  # noqa: E402
from transformers.generation.continuous_batching.utils import find_head_dim, find_num_key_value_heads  # noqa: E402
from transformers.initialization import no_init_weights  # noqa: E402
from transformers.models.auto.auto_factory import _get_model_class as get_model_class  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402
from transformers.utils import is_flash_attn_2_available  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

__all__ = [
    "CONFIG_MAPPING",
    "SLIDING_ATTENTION",
    "AutoConfig",
    "AutoModel",
    "AutoModelForCausalLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTextEncoding",
    "AutoTokenizer",
    "ContinuousBatchingConfig",
    "ContinuousBatchingLogitsProcessor",
    "ContinuousBatchingLogitsProcessorList",
    "GenerationConfig",
    "LogitsProcessorList",
    "OutputRouter",
    "PagedAttentionMemoryHandler",
    "StoppingCriteriaList",
    "find_head_dim",
    "find_num_key_value_heads",
    "get_model_class",
    "group_layers_by_attn_type",
    "infer_max_single_request_tokens",
    "is_flash_attn_2_available",
    "no_init_weights",
    "transformers_logging",
    "transformers_version",
]


def transformers_version() -> str:
    """Return the version that is installed."""
    version: str = transformers.__version__
    return version

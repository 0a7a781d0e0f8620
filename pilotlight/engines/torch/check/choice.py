"""Chooses between continuous batching and one request at a time, by what the model computes."""

from __future__ import annotations

import logging
from pathlib import Path

from pilotlight.engines.collector import freeze_early
from pilotlight.engines.text.engine import TextBackend
from pilotlight.engines.torch.check.check_records import AS_ASKED, CheckResult, read_result, result_path, write_result
from pilotlight.engines.torch.continuous import TorchBackend, UnsupportedModelError
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.request_costs import reserve_request
from pilotlight.engines.torch.serial import TorchSerialBackend
from pilotlight.engines.torch.threads import on_own_thread
from pilotlight.tracing import stage

__all__ = ["open_backend"]

log = logging.getLogger(__name__)

# Up to so many parameters one thread checks a model: SmolLM2 takes less than a second by one thread, and 6 s by two
# where other programs keep the processors busy, since each thread then waits for the other after every operation.
LARGE_PARAMETERS = 500_000_000


def open_backend(
    loaded: Loaded,
    folder: Path,
    *,
    slots: int,
    threads: int,
    serial: bool,
    cache: Path | None,
    cache_bytes: int | None = None,
) -> tuple[TextBackend, str]:
    """Open the back end that computes what the model does: continuous batching, or else one request at a time.

    Args:
        loaded: the model.
        folder: that it came from.
        slots: requests that advance together, at most.
        threads: that compute, on a CPU.
        serial: one at a time, even where the model could be batched.
        cache: the folder that keeps the results of checks; ``None`` keeps none.
        cache_bytes: of keys and values, where it is set by hand.

    Returns:
        The back end, running, and why it serves one request at a time, in a line; empty where it batches.

    Raises:
        ConfigError: memory is too short.
        WeightsError: neither of them computes what one forward pass of the model does.
    """
    freeze_early()
    result = _check(loaded, folder, threads, serial=serial, cache=cache)
    if result.batched:
        try:
            return TorchBackend(loaded, slots, threads, cache_bytes), ""
        except UnsupportedModelError as error:
            result = CheckResult(False, str(error))
    note = f"one at a time: {result.reason}"
    if result.reason != AS_ASKED:
        log.warning("%s: requests are served %s", folder, note)
    with stage("compile"):
        reservation = on_own_thread(lambda: reserve_request(loaded, cache_bytes), 1, loaded.model.device)
    return TorchSerialBackend(loaded, threads, reservation), note


def _check(loaded: Loaded, folder: Path, threads: int, *, serial: bool, cache: Path | None) -> CheckResult:
    path = None if cache is None or serial else result_path(cache, folder, loaded.model)
    result = None if path is None else read_result(path)
    if result is None:
        with stage("compile"):
            # Imported only here: most starts find the result of an earlier one.
            from pilotlight.engines.torch.check.self_check import check_model

            size = sum(one.numel() for one in loaded.model.parameters())
            result = on_own_thread(
                lambda: check_model(loaded, folder, serial=serial),
                threads if size > LARGE_PARAMETERS else 1,
                loaded.model.device,
            )
        if path is not None:
            write_result(path, result)
    return result

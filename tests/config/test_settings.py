"""The objects that programs read their settings into."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from pilotlight.adapters.encoder_inputs import MAX_TEXTS
from pilotlight.config import EncoderSettings, EngineOptions, GatewaySettings, TextSettings
from pilotlight.config.variables import ENGINES, POOLING
from pilotlight.engines.encoders.model_config import Pooling
from pilotlight.engines.select import PACKAGES
from pilotlight.errors import ConfigError
from pilotlight.runtime.http.request import MAX_BODY_BYTES

# Which engine where the environment says nothing; an object that is made without one keeps no caches.
ENGINE = EngineOptions(cache=Path("~/.cache/pilotlight").expanduser())


def test_an_empty_environment_gives_the_defaults() -> None:
    assert TextSettings.from_env({}) == TextSettings(engine=ENGINE)
    assert EncoderSettings.from_env({}) == EncoderSettings(engine=ENGINE)
    assert GatewaySettings.from_env({}) == GatewaySettings()


def test_defaults_that_depend_on_other_parts_agree_with_them() -> None:
    assert GatewaySettings().max_body_bytes == MAX_BODY_BYTES  # what a Cog server takes
    assert EncoderSettings().queue_size == 4 * MAX_TEXTS  # four of the largest requests
    assert set(ENGINES) == {"auto", *PACKAGES}
    assert POOLING.expected == f"auto, {', '.join(list(Pooling)[:-1])} or {list(Pooling)[-1]}"


def test_a_text_predictor_reads_its_variables() -> None:
    environ = {
        "PILOTLIGHT_MODEL": "org/model",
        "PILOTLIGHT_ENGINE": "torch",
        "PILOTLIGHT_DEVICE": "cuda:1",
        "PILOTLIGHT_DTYPE": "bfloat16",
        "PILOTLIGHT_STAGED": "0",
        "PILOTLIGHT_DETERMINISTIC": "1",
        "PILOTLIGHT_CACHE": "/caches",
        "PILOTLIGHT_SLOTS": "4",
        "PILOTLIGHT_QUEUE": "9",
        "COG_MAX_CONCURRENCY": "32",
    }
    engine = EngineOptions("torch", "cuda:1", "bfloat16", staged="0", cache=Path("/caches"), deterministic=True)
    assert TextSettings.from_env(environ) == TextSettings("org/model", engine, slots=4, queue_size=9)
    del environ["PILOTLIGHT_SLOTS"], environ["PILOTLIGHT_QUEUE"]
    assert TextSettings.from_env(environ) == TextSettings("org/model", engine, slots=32, queue_size=None)


def test_an_encoder_reads_its_variables() -> None:
    environ = {
        "PILOTLIGHT_MODEL": "org/model",
        "PILOTLIGHT_POOLING": "cls",
        "PILOTLIGHT_BATCH": "8",
        "PILOTLIGHT_BATCH_WAIT_MS": "2.5",
        "PILOTLIGHT_QUEUE": "100",
    }
    expected = EncoderSettings("org/model", ENGINE, pooling="cls", max_rows=8, max_wait_s=0.0025, queue_size=100)
    assert EncoderSettings.from_env(environ) == expected


@pytest.mark.parametrize("name", ["PILOTLIGHT_SLOTS", "PILOTLIGHT_QUEUE", "COG_MAX_CONCURRENCY"])
def test_a_number_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 'many'; expected a whole number of at least 1"):
        TextSettings.from_env({name: "many"})


def test_what_is_given_to_a_gateway_wins_over_the_environment() -> None:
    environ = {"PILOTLIGHT_HOME": "/srv/a", "PILOTLIGHT_GATEWAY_TOKEN": "secret"}
    assert GatewaySettings.from_env(environ) == GatewaySettings(home=Path("/srv/a"), token="secret")
    given = GatewaySettings.from_env(environ, home=Path("/srv/b"), port=0)
    assert given == GatewaySettings(home=Path("/srv/b"), token="secret", port=0)


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TextSettings().slots = 3  # type: ignore[misc]  # wrong on purpose


def test_what_a_predictor_reads_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import pilotlight.config.predictor; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pilotlight"]

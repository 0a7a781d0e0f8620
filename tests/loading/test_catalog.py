from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.config.variables import TEXT_MODELS
from pilotlight.errors import ConfigError, UsageError
from pilotlight.loading.catalog import find_known, read_catalog
from pilotlight.loading.fetch.sources import WheelSource, parse_source
from pilotlight.loading.locate import default_model
from tests.paths import ROOT


def test_the_projects_catalog_has_the_default_model_and_pinned_sources() -> None:
    models = read_catalog(ROOT / "weights")
    assert TEXT_MODELS[0] in models
    for name, model in models.items():
        source = parse_source(model.source)
        assert isinstance(source, WheelSource), name
        assert len(source.sha256) == 64
        assert model.licence == "Apache-2.0"
        assert model.about


def test_a_folder_without_a_catalog_knows_the_projects_models(tmp_path: Path) -> None:
    assert read_catalog(tmp_path) == read_catalog(ROOT / "weights")
    assert find_known(TEXT_MODELS[0], tmp_path).name == TEXT_MODELS[0]
    with pytest.raises(UsageError, match=rf"'x' is not the name of a known model: {TEXT_MODELS[0]}, .*hf://org/name"):
        find_known("x", tmp_path)
    with pytest.raises(UsageError, match="there is none"):
        find_known("x", tmp_path, built_in=tmp_path / "nothing.toml")


def test_a_folders_own_entries_win(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        f"[models.{TEXT_MODELS[0]}]\nabout = 'mine'\nsource = 'file:///m'\nlicence = 'MIT'\n"
        "[models.own]\nabout = 'mine'\nsource = 'file:///o'\nlicence = 'MIT'\n"
    )
    models = read_catalog(tmp_path)
    assert (models[TEXT_MODELS[0]].about, models["own"].source) == ("mine", "file:///o")
    assert models.keys() > read_catalog(ROOT / "weights").keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models", "cannot be read"),
        ("a = 1", "'models'; expected"),
        ("[models.x]\nabout = 'y'", "'source'; expected"),
        ("models = 3", "expected"),
    ],
)
def test_a_damaged_catalog_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_catalog(tmp_path)


def test_the_default_model_is_the_first_that_is_complete(tmp_path: Path) -> None:
    preferred, fallback = TEXT_MODELS
    name, remark = default_model(tmp_path)
    assert (name, remark.partition(":")[0]) == (fallback, f"serving {fallback}")
    assert f"pilotlight weights fetch {preferred}" in remark
    (tmp_path / preferred).mkdir()  # a fetch that has not ended
    assert default_model(tmp_path)[0] == fallback
    (tmp_path / preferred / "manifest.json").touch()
    assert default_model(tmp_path) == (preferred, "")

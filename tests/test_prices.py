"""The price file, and what predictions cost by it."""

import json
from datetime import date, timedelta
from importlib.resources import files

import pytest

from pilotlight.errors import ConfigError
from pilotlight.prices import STALE_DAYS, cost_usd, load_prices, parse_prices

FILE = json.loads((files("pilotlight") / "prices.json").read_text())


def test_every_tariff_is_sourced_and_above_nothing():
    for tariff in load_prices().tariffs.values():
        assert tariff.source.startswith("https://")
        assert tariff.billed
        assert all(price > 0 for price in tariff.usd_per_s.values())


def test_prices_grow_stale():
    prices = load_prices()
    assert not prices.stale(prices.as_of + timedelta(days=STALE_DAYS))
    assert prices.stale(prices.as_of + timedelta(days=STALE_DAYS + 1))


@pytest.mark.parametrize(
    ("platform", "hardware", "times", "expected"),
    [
        # A public model pays for the prediction alone.
        ("replicate", "gpu-t4", (20.0, 2.0), 2 * 0.000225),
        ("replicate-deployment", "gpu-t4", (20.0, 2.0), 22 * 0.000225),
        # Rounded up to the second.
        ("runpod", "4090", (0.0, 2.01), 3 * 0.00031),
        ("runpod", "4090", (1.0, 2.0), 3 * 0.00031),
        ("runpod", "4090", (1.0, 2.0000000001), 3 * 0.00031),
        # Time that nobody knows has no price.
        ("runpod", "4090", (None, 2.0), None),
        # An instance that is always there is not charged by the prediction.
        ("sagemaker", "ml.g5.xlarge", (0.0, 2.0), None),
    ],
)
def test_cost(platform, hardware, times, expected):
    found = cost_usd(load_prices().tariffs[platform], hardware, cold_start_s=times[0], predict_s=times[1])
    assert found == (None if expected is None else pytest.approx(expected))


def test_prices_by_the_hour_are_turned_into_seconds():
    assert load_prices().tariffs["sagemaker"].usd_per_s["ml.g5.xlarge"] * 3600 == pytest.approx(1.408)


def test_unknown_hardware_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match="no hardware 'gpu-x'; known are cpu, gpu-t4"):
        cost_usd(load_prices().tariffs["replicate"], "gpu-x", cold_start_s=0, predict_s=0)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"as_of": "soon"},
        {"platforms": {"x": {}}},
        {"platforms": {"x": {**FILE["platforms"]["runpod"], "per": "day"}}},
    ],
)
def test_a_broken_file_is_refused(change):
    with pytest.raises(ConfigError, match="price file"):
        parse_prices(json.dumps({**FILE, **change}))


def test_a_date_is_a_date():
    assert isinstance(load_prices().as_of, date)

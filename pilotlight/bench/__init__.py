"""Measures any Cog project: cold start, warm-up and load, with statistics that say what they cannot know."""

from pilotlight.bench.calibration import Calibration, Figure, calibrate
from pilotlight.bench.changepoints import Segment, outliers, pelt, segments
from pilotlight.bench.stats import (
    Comparison,
    Estimate,
    TooSmall,
    Verdict,
    bca_interval,
    compare,
    hierarchical_interval,
    median_interval,
    quantile_interval,
)
from pilotlight.bench.warmup import ProcessWarmup, Shape, Warmup, classify, summarize

__all__ = [
    "Calibration",
    "Comparison",
    "Estimate",
    "Figure",
    "ProcessWarmup",
    "Segment",
    "Shape",
    "TooSmall",
    "Verdict",
    "Warmup",
    "bca_interval",
    "calibrate",
    "classify",
    "compare",
    "hierarchical_interval",
    "median_interval",
    "outliers",
    "pelt",
    "quantile_interval",
    "segments",
    "summarize",
]

"""Measure any Cog project: cold start, warm-up and load, with confidence intervals on every figure."""

from pilotlight.bench.calibrate.measure import Calibration, CalibrationFigure, calibrate
from pilotlight.bench.stats.changepoints import Segment, outliers, pelt, segments
from pilotlight.bench.stats.intervals import (
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
from pilotlight.bench.stats.warmup import ProcessWarmup, Shape, Warmup, classify, summarize

__all__ = [
    "Calibration",
    "CalibrationFigure",
    "Comparison",
    "Estimate",
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

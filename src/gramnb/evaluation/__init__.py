"""Metrics, intervals, paired tests and the paper's tables: how good a network is, and how sure."""

from gramnb.evaluation.intervals import Difference, estimate, paired_difference, roc_band
from gramnb.evaluation.metrics import (
    CLASSES,
    METRICS,
    Calibration,
    disagreement,
    ece,
    log_odds,
    reliability,
    report,
    wilson,
)
from gramnb.evaluation.tables import (
    by_seed,
    class_report,
    compare,
    confusion,
    difference_table,
    plus_minus,
    points,
    summary,
    table3,
    table4,
    with_interval,
)

__all__ = [
    "CLASSES",
    "METRICS",
    "Calibration",
    "Difference",
    "by_seed",
    "class_report",
    "compare",
    "confusion",
    "difference_table",
    "disagreement",
    "ece",
    "estimate",
    "log_odds",
    "paired_difference",
    "plus_minus",
    "points",
    "reliability",
    "report",
    "roc_band",
    "summary",
    "table3",
    "table4",
    "wilson",
    "with_interval",
]

"""Metrics, intervals, paired tests and the paper's tables: how good a network is, and how sure."""

from gramnb.evaluation.calibration import Calibration, log_odds
from gramnb.evaluation.metrics import (
    CLASSES,
    METRICS,
    disagreement,
    ece,
    mcnemar,
    reliability,
    report,
    wilson,
)
from gramnb.evaluation.resampling import Difference, estimate, paired_difference, roc_band
from gramnb.evaluation.tables import (
    by_seed,
    class_report,
    compare,
    confusion,
    contrasts,
    plus_minus,
    points,
    summary,
    table3,
    table4,
    versus,
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
    "contrasts",
    "disagreement",
    "ece",
    "estimate",
    "log_odds",
    "mcnemar",
    "paired_difference",
    "plus_minus",
    "points",
    "reliability",
    "report",
    "roc_band",
    "summary",
    "table3",
    "table4",
    "versus",
    "wilson",
    "with_interval",
]

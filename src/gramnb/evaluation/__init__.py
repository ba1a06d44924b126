"""Metrics, intervals, paired tests and the paper's tables: how good a network is, and how sure."""

from gramnb.evaluation.intervals import (
    disagreement,
    equivalence,
    estimate,
    meta_analysis,
    paired_difference,
    reliability,
    resampled,
    roc_band,
)
from gramnb.evaluation.metrics import (
    CLASSES,
    METRICS,
    Calibration,
    at_prevalence,
    log_odds,
    of_sadness,
    report,
    score,
    wilson,
)
from gramnb.evaluation.tables import (
    by_seed,
    class_report,
    compare,
    difference_table,
    plus_minus,
    points,
    seed_means,
    summary,
    table3,
    table4,
    with_interval,
)

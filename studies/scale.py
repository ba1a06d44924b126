"""Compute what the paper's full experiment takes, from rates that were measured.

    python -m studies.scale

Writes the tables of book/scale.md. A rate stands with its machine in results/benchmarks, which
`benchmarks/bank.py --record` writes; other networks are scaled by their multiply-adds.
"""

import pandas as pd
import yaml
from studies.costs import FILE
from studies.experiment import Experiment
from studies.pages import fill

from gramnb.paper import DATA
from gramnb.runs import resolve

PAGE, PROFILE, REFERENCE = "book/scale.md", "profiles/webemo.yaml", "EfficientNetV2B2, k = 4"


def scale() -> dict:
    """Return the rate that was measured, and of each row its speed, days and parameters."""
    steps = pd.read_csv(resolve("results/benchmarks/steps.csv"), index_col="timed")
    step = steps.loc["k = 4"]
    rate = 1000 * step["batch"] / step["timed, ms"]
    costs = pd.read_csv(resolve(FILE), index_col="system")
    profile = Experiment.parse(yaml.safe_load(resolve(PROFILE).read_bytes()), PROFILE)
    rows = []
    for name, (first, *more) in profile.expanded().items():
        system = f"{first['backbone']}, k = {first['k']}"
        cost = costs.loc[f"multi-level {first['backbone']}" if "network" in first else system]
        speed = rate * costs.loc[REFERENCE, "multiply_adds"] / cost["multiply_adds"]
        runs, epochs = 1 + len(more), first["epochs"]
        days = runs * epochs * DATA.train.total / speed / 86_400
        rows.append({"name": name, "speed": speed, "runs": runs, "epochs": epochs, "days": days,
                     "parameters": runs * cost["parameters"]})  # fmt: skip
    return {"reference": REFERENCE, "step": step, "rate": rate, "rows": rows, "images": DATA}


if __name__ == "__main__":
    fill(PAGE, "scale", **scale())

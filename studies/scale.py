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
MAP, POOLED = (32, 32, 56), 1408  # what a frozen run reads of an image: Section 4.2, Table 2


def scale() -> str:
    """Return the tables: time of training, row by row, then memory and disk."""
    steps = pd.read_csv(resolve("results/benchmarks/steps.csv"))
    step = steps[steps["timed"] == "k = 4"].iloc[0]
    rate = 1000 * step["batch"] / step["timed, ms"]
    costs = pd.read_csv(resolve(FILE), index_col="system")
    profile = Experiment.parse(yaml.safe_load(resolve(PROFILE).read_bytes()), PROFILE)
    rows, days, models = [["row", "images/s", "runs x epochs x images", "days"]], 0.0, 0
    for name, settings in profile.expanded().items():
        first, runs = settings[0], len(settings)
        system = f"{first['backbone']}, k = {first['k']}"
        cost = costs.loc[f"multi-level {first['backbone']}" if "network" in first else system]
        speed = rate * costs.loc[REFERENCE, "multiply_adds"] / cost["multiply_adds"]
        epochs, images = first["epochs"], DATA.train.total
        took = runs * epochs * images / speed / 86_400
        days, models = days + took, models + runs * 4 * int(cost["parameters"])
        rows.append([name, f"{speed:.1f}", f"{runs} x {epochs} x {images:,}", f"{took:,.1f}"])
    rows.append(["all", "", "", f"{days:,.1f}"])
    kept = sum(part.total for part in (DATA.train, DATA.validation, DATA.test))
    height, width, channels = MAP
    each = 2 * height * width * channels + 4 * POOLED
    space = [
        ["what", "arithmetic", "GB"],
        ["trained networks", "parameters x 4 bytes, summed over all runs", f"{models / 1e9:.1f}"],
        ["maps of a frozen backbone, on disk and in memory",
         f"{kept:,} x (2 x {height} x {width} x {channels} + 4 x {POOLED:,}) bytes",
         f"{kept * each / 1e9:.1f}"],
        ["the same of G in place of the map",
         f"{kept:,} x (4 x {channels} x {channels} + 4 x {POOLED:,}) bytes",
         f"{kept * 4 * (channels**2 + POOLED) / 1e9:.1f}"],
    ]  # fmt: skip
    measured = [
        ["measured", "images/s", "where"],
        [f"a step of {REFERENCE} at 256 px, batch {step['batch']}", f"{rate:.2f}",
         f"{step['cores']} processor cores (`results/benchmarks/steps.csv`)"],
    ]  # fmt: skip
    return "\n\n".join(map(table, (measured, rows, space)))


def table(rows: list[list[str]]) -> str:
    """Return rows of cells as a table in Markdown; the first row is its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    fill(PAGE, {"scale": scale()})

"""Count the parameters and multiply-adds of every system of `results/systems`.

    python -m studies.costs

Networks are built for images of 256 x 256 pixels, the paper's size, whatever size the study trains
them at. Writes results/systems/costs.csv: system, parameters (moving statistics included, centres
of a loss not), and `architecture.multiply_adds` of one image; and from it the table of
book/systems.md.
"""

import pandas as pd
from studies.experiment import Experiment
from studies.pages import fill
from studies.record import write_table

from gramnb import architecture, runs
from gramnb.choices import BACKBONES
from gramnb.paper import SETTINGS
from gramnb.variants import build_multilevel_resnet50

FILE, PAGE = "results/systems/costs.csv", "book/systems.md"
KS = range(6)


def costs(backbones) -> pd.DataFrame:
    """Return each system's parameters and multiply_adds, for every k; a backbone is built once."""
    rows = {}
    for backbone in backbones:
        table = architecture.costs(backbone, SETTINGS.image_size, KS)
        counts = table[["parameters", "multiply-adds"]].itertuples()
        rows |= {f"{backbone}, k = {k}": both for k, *both in counts}
        if backbone == "EfficientNetV2S":  # the loss is no part of the network
            rows[f"{backbone}, k = 4, centre loss"] = rows[f"{backbone}, k = 4"]
        if backbone == "ResNet50":
            network = build_multilevel_resnet50(SETTINGS.image_size, "none")
            both = [network.count_params(), architecture.multiply_adds(network)]
            rows[f"multi-level {backbone}"] = both
    table = pd.DataFrame.from_dict(rows, "index", columns=["parameters", "multiply_adds"])
    return table.rename_axis("system")


def sizes() -> dict:
    """Return what the page says: the recorded table by system, and its backbones."""
    table = pd.read_csv(runs.resolve(FILE), index_col="system")
    names = [name.removesuffix(", k = 0") for name in table.index if name.endswith(", k = 0")]
    return {"costs": table.to_dict("index"), "backbones": {name: BACKBONES[name] for name in names}}


if __name__ == "__main__":
    configs = [each for row in Experiment.study("systems").configs().values() for each in row]
    table = costs(dict.fromkeys(config.backbone for config in configs))
    write_table(FILE, table.reset_index())
    fill(PAGE, "costs", **sizes())

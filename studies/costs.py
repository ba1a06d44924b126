"""Record what each system of this study costs: parameters and multiply-adds, nothing is trained.

    python -m studies.costs

Networks are built for images of 256 x 256 pixels, the paper's size, whatever size the study trains
them at. Writes results/systems/costs.csv, which book/systems.md cites: system, parameters (moving
statistics included, centres of a loss not), multiply_adds of one image (`fidelity.multiply_adds`).
"""

import pandas as pd
from studies.experiment import Experiment

from gramnb import fidelity, runs
from gramnb.config import TrainConfig
from gramnb.models import build_multilevel_resnet50
from gramnb.paper import SETTINGS

FILE = "results/systems/costs.csv"


def main() -> None:
    rows = {name: configs[0] for name, configs in Experiment.study("systems").configs().items()}
    table = pd.DataFrame(list(costs(rows).values()), pd.Index(rows, name="system"))
    with runs.atomic(runs.resolve(FILE)) as temporary:
        table.to_csv(temporary)


def costs(rows: dict[str, TrainConfig]) -> dict[str, dict[str, int]]:
    """Return each system's parameters and multiply-adds; a backbone is built once for all k."""
    found = {}
    for backbone in dict.fromkeys(config.backbone for config in rows.values()):
        own = {name: config for name, config in rows.items() if config.backbone == backbone}
        ks = {config.k for config in own.values() if config.network == "gram"}
        table = fidelity.costs(backbone, SETTINGS.image_size, sorted(ks)) if ks else None
        for name, config in own.items():
            if config.network == "multilevel":
                network = build_multilevel_resnet50(SETTINGS.image_size, "none")
                counts = network.count_params(), fidelity.multiply_adds(network)
            else:
                counts = table.loc[config.k, ["parameters", "multiply-adds"]]
            found[name] = dict(zip(("parameters", "multiply_adds"), map(int, counts), strict=True))
    return {name: found[name] for name in rows}


if __name__ == "__main__":
    main()

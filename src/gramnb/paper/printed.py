"""The paper's printed numbers, as the CSV files beside this module hold them, and its tables."""

from functools import partial
from importlib.resources import files
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml


class Counts(NamedTuple):
    """Images of a part by class."""

    others: int
    sadness: int

    @property
    def total(self) -> int:
        """Images of both classes."""
        return self.others + self.sadness


def read(name: str, **options) -> pd.DataFrame:
    """Return one of the CSV files beside this module."""
    return pd.read_csv(files("gramnb.paper") / f"{name}.csv", **options)


def _named(of: str) -> dict:
    numbers, counts = read("numbers").query("of == @of"), read("counts").query("of == @of")
    values = {row.name: yaml.safe_load(row.value) for row in numbers.itertuples()}
    return values | {row.name: Counts(row.others, row.sadness) for row in counts.itertuples()}


DATA, SETTINGS, CLAIMS = (SimpleNamespace(**_named(of)) for of in ("data", "settings", "claims"))
PUBLISHED = _named("published")  # the sets of which Tables 5 and 6 take a part
SCORES = read("scores", index_col=["Table", "k", "Network", "Class"])
STAGES = read("stages", dtype={name: "Int64" for name in ("stride", "channels", "layers")})


def implied(scores: pd.DataFrame) -> pd.DataFrame:
    """Return precision, F1-score and accuracy, 0-1, that recalls and supports imply (Section 4.2).

    scores: as SCORES. Accuracy is a network's, the same in both its rows.
    """
    recall, support = scores["Recall"], scores["Support"]
    hits, missed = recall * support, (1 - recall) * support
    both = pd.DataFrame({"hits": hits, "missed": missed, "support": support})
    both = both.groupby(["Table", "Network"]).transform("sum")
    precision = hits / (hits + both["missed"] - missed)
    f1 = 2 * precision * recall / (precision + recall)
    accuracy = both["hits"] / both["support"]
    return pd.DataFrame({"Precision": precision, "F1-score": f1, "accuracy": accuracy})


def table3() -> pd.DataFrame:
    """Derive Table 3's accuracies from Table 4, indexed by k, in percent and percentage points.

    Columns: network, accuracy, gain over the baseline (k = 0), gain in balanced accuracy, and the
    sampling error `error` of one network's accuracy on the 6,107 test images. Recalls are printed
    to four digits, hence accuracies are sure to 0.005.
    """
    accuracy = 100 * implied(SCORES)["accuracy"].loc[4].groupby(["k", "Network"]).first()
    table = accuracy.rename_axis(["k", "network"]).reset_index("network")
    balanced = 100 * SCORES.loc[4]["Recall"].groupby("k").mean()
    table["gain"] = table["accuracy"] - table["accuracy"][0]
    table["gain_balanced"] = balanced - balanced[0]
    table["error"] = np.sqrt(table["accuracy"] * (100 - table["accuracy"]) / DATA.test.total)
    return table


def table4() -> pd.DataFrame:
    """Return Table 4 as printed: networks x (class, metric), shares."""
    cells = pd.MultiIndex.from_product([("Others", "Sadness"), ("Precision", "Recall", "F1-score")])
    wide = SCORES.loc[4].droplevel("k").unstack("Class").swaplevel(axis=1)[cells]
    return wide.set_axis(cells, axis=1)


def table5(number: int = 5) -> pd.DataFrame:
    """Return Table 5 as printed (UnbiasedEmo, k = 4, shares and images), or Table 6 (Emotion-6)."""
    return SCORES.loc[number].droplevel(["k", "Network"])


table6 = partial(table5, 6)


def supports() -> pd.DataFrame:
    """Compare the parts of UnbiasedEmo and Emotion-6 in Tables 5 and 6 with rules that could be.

    Rows: what is published, what is printed, and the others that two rules would leave beside the
    sadness printed. Columns: data set x others, sadness.
    """
    columns = {}
    for name, published in PUBLISHED.items():
        others, sadness = SCORES.xs(name, level="Network")["Support"]
        same = round(sadness / published.sadness * published.others)
        balanced = round(sadness * (1 / DATA.sadness_share - 1))
        columns[name, "others"] = [published.others, others, same, balanced]
        columns[name, "sadness"] = [published.sadness, sadness, sadness, sadness]
    rules = ["same share of both classes", "others undersampled as in Section 4.1"]
    return pd.DataFrame(columns, ["published", "printed", *rules]).rename_axis("subset")


def attrition() -> pd.DataFrame:
    """Return the paper's way from list to data set (Section 4.1), as `manifest.attrition` does.

    Classes are printed for the data set only. "listed" counts the lines of WEBEmo's two lists,
    which the paper rounds.
    """
    listed = DATA.lines_train + DATA.lines_test
    others, sadness = map(sum, zip(DATA.train, DATA.validation, DATA.test, strict=True))
    kept = others + sadness
    totals = {
        "listed": listed,
        "not retrieved": listed - DATA.retrieved,
        "text, undersampling": DATA.retrieved - kept,
        "kept": kept,
    }
    frame = pd.DataFrame({"others": None, "sadness": None, "total": totals}, dtype="Int64")
    frame.loc["kept", ["others", "sadness"]] = others, sadness
    return frame.rename_axis("step")


def operating_points() -> dict[str, tuple[float, float]]:
    """Return the false and true positive rate of each printed network and data set (Tables 4-6)."""
    recalls = SCORES["Recall"].droplevel(["Table", "k"]).unstack("Class")
    return {name: (1 - others, sadness) for name, others, sadness in recalls.itertuples()}

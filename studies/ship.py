"""Make the model that ships with the package, from the recorded study `shipped`.

    make study STUDY=shipped
    python -m studies.ship

- Fits Platt's scaling of each candidate on the validation images, and chooses the row whose
  calibrated log-loss there is lowest in the mean of its seeds, among heads that are small enough to
  ship, and the best seed of that row (the first version took the best seed of all; that is mostly
  luck, and its answers to the test images were known when this was seen).
- Sets the threshold to 0.5, unless another one is right on so many more validation images that
  McNemar's test tells them apart (p < 0.05; the other one being the best of all, p is too small).
- Asks it about pictures unlike any it learned from, and once about the test images.
- Writes src/gramnb/shipped/, the tables of book/model_card.md and the example in README.md.

No choice uses test images. Everything but `unlike` is computed from recorded tables, where
probabilities stand with five decimals, so anyone can compute it again without the images.
"""

import contextlib
import hashlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from scipy.stats import binomtest
from sklearn.metrics import log_loss
from studies import runs as trained
from studies.experiment import Experiment
from studies.pages import fill

from gramnb import cli, evaluation, runs
from gramnb.backbones import BACKBONES
from gramnb.data import demo
from gramnb.data.images import read_image
from gramnb.evaluation import Calibration, log_odds
from gramnb.predict import SHIPPED, SadnessClassifier, ask, load_network

NAME = "shipped"
PAGE, TEMPLATE = "book/model_card.md", "model_card.md.j2"
TABLES = ("model", "metrics", "groups", "unlike")  # of the page
IMAGES = "results/states_curation/images.csv"
LARGEST = 3_000_000  # bytes of a head that ships
LEAST = 5e-6  # what a recorded probability of 0.00000 may be
METRICS = ("n", "accuracy", "low", "high", "precision_sadness", "recall_sadness", "auc", "brier")
METRICS += ("ece", "log_loss", "ece_by_chance")
PAINTING, PAINTINGS = "painting: ", "runs/cache/demo-artworks"
WORDS = (
    "photographs and illustrations that web searches for a keyword returned; "
    "sadness: sad, crying, lonely; others: angry, confused, happy, relaxed"
)


class Candidate:
    """A row's seed: its recorded answers, and Platt's scaling fitted on validation images.

    Attributes:
        val, test: its answers on a split, a row an image, with the log-odds `x`.
        calibration: with six decimals.
    """

    def __init__(self, frame: pd.DataFrame, row: str, seed: int):
        self.row, self.seed = row, seed
        own = frame.query("variant == @row and seed == @seed")
        own = own.assign(x=log_odds(own["p_sadness"], least=LEAST))
        self.val, self.test = (own[own["split"] == split] for split in ("val", "test"))
        fitted = vars(Calibration.fit(self.val["y"], self.val["x"]))
        self.calibration = Calibration(**{name: round(v, 6) for name, v in fitted.items()})

    def scores(self) -> dict:
        """Return what it is chosen by, and its accuracy on test images, which is not it."""
        loss = log_loss(self.val["y"], self.calibration(self.val["x"]))
        accuracy = ((self.test["x"] > 0) == self.test["y"]).mean()
        return {"log_loss": round(loss, 6), "test_accuracy": round(accuracy, 6)}

    def threshold(self) -> tuple[float, dict]:
        """Return the threshold of the calibrated probability, and what validation says of it."""
        y, p = self.val["y"].to_numpy(), self.calibration(self.val["x"].to_numpy())
        limits = np.append(0.5, (np.unique(p)[1:] + np.unique(p)[:-1]) / 2)
        right = (p > limits[:, None]) == y  # (limits, images)
        best = int(right.mean(axis=1).argmax())  # the first of equals, so 0.5 if none is better
        apart = int((right[0] != right[best]).sum())  # McNemar's exact test
        lost = int((right[0] & ~right[best]).sum())
        chance = binomtest(lost, apart).pvalue if apart else 1.0
        found = {
            "accuracy_at_half": right[0].mean(),
            "best_threshold": limits[best],
            "best_accuracy": right[best].mean(),
            "mcnemar_p": chance,
        }
        limit = 0.5 if chance >= 0.05 else round(float(limits[best]), 3)
        return limit, {name: round(float(value), 6) for name, value in found.items()}

    def tested(self, calibration: Calibration, limit: float = 0.5) -> dict:
        """Return its test metrics by a calibration and a threshold.

        `low` and `high` bound the accuracy (95 %), groups of near-duplicates drawn as one.
        `ece_by_chance` is the mean ECE of as many images whose labels are drawn by these
        probabilities: what a perfect calibration would show.
        """
        y, p = self.test["y"].to_numpy(), calibration(self.test["x"].to_numpy())
        drawn = np.random.default_rng(0).random((500, len(p))) < p
        found = {
            **evaluation.report(y, p, limit),
            **evaluation.estimate(self.test.assign(p_sadness=(p > limit) * 1.0), "accuracy"),
            "n": len(y),
            "log_loss": log_loss(y, p),
            "ece_by_chance": np.mean([evaluation.ece(labels, p) for labels in drawn]),
        }
        return {name: round(found[name], 6) for name in METRICS}

    def groups(self, limit: float) -> dict[str, dict[str, int]]:
        """Return by keyword, and by faces: test images, called sadness, and right."""
        known = curated().set_index("image_id").loc[self.test["image_id"]]
        called = self.calibration(self.test["x"]) > limit
        counted = pd.DataFrame({"n": 1, "sadness": called, "right": called == self.test["y"]})
        keys = known["label"].to_numpy(), (known["face_fraction"] == 0).to_numpy()
        table = pd.concat([counted.groupby(key).sum() for key in keys])
        return table.rename({False: "with a face found", True: "no face found"}).to_dict("index")


def main() -> None:
    frame = runs.predictions(f"results/{NAME}")
    found = {
        (row, config.seed): run
        for row, pairs in trained.found(Experiment.study(NAME)).items()
        for config, run in pairs
    }
    tried = [
        {"row": row, "seed": seed, **Candidate(frame, row, seed).scores(),
         "bytes": (run.path / "model.keras").stat().st_size}
        for (row, seed), run in found.items()
    ]  # fmt: skip
    best = chosen(tried)
    run = found[best["row"], best["seed"]]
    card = {
        **about(run, Candidate(frame, best["row"], best["seed"])),
        "candidates": tried,
        "first_rule": first_rule(frame, tried),
    }
    paintings = demo.draw_dataset(PAINTINGS, "demo-artworks")
    size, calibration = run.config["image_size"], Calibration(**card["calibration"])
    card["unlike"] = unlike(SadnessClassifier(load_network(run), size, calibration), paintings)
    with runs.atomic(SHIPPED / "head.keras") as temporary:
        shutil.copyfile(run.path / "model.keras", temporary)
    runs.write_json(SHIPPED / "card.json", card)
    text = texts(card, **asked(paintings))  # by the model just written
    fill(PAGE, {name: text[name] for name in TABLES})
    fill("README.md", {"answers": text["answers"]})
    print(f"shipped: {best['row']}, seed {best['seed']}")


def about(run: runs.Run, candidate: Candidate) -> dict:
    """Return the card of a run, but for what compares it with others."""
    limit, checked = candidate.threshold()
    counts = curated().groupby("split")["sadness"].agg(["size", "sum"])
    counts = counts.loc[["train", "val", "test"]]
    return {
        "network": run.config,
        "row": candidate.row,
        "head_sha256": hashlib.sha256((run.path / "model.keras").read_bytes()).hexdigest(),
        "calibration": vars(candidate.calibration),
        "threshold": limit,
        "threshold_on_validation": checked,
        "data": {
            "words": WORDS,
            "manifest": run.config["data"],
            "images": counts["size"].to_dict(),
            "sadness": counts["sum"].to_dict(),
        },
        "test": {
            "before": candidate.tested(Calibration()),
            "after": candidate.tested(candidate.calibration, limit),
        },
        "groups": candidate.groups(limit),
        "versions": {"python": run.environment["python"], **run.environment["packages"]},
    }


def curated() -> pd.DataFrame:
    """Return the images that candidates were trained and tested on."""
    return pd.read_csv(runs.resolve(IMAGES)).query("dropped.isna()")


def chosen(tried: list[dict]) -> dict:
    """Return the best seed of the best row among the candidates small enough to ship."""
    fits = pd.DataFrame([candidate for candidate in tried if candidate["bytes"] < LARGEST])
    best = fits.groupby("row")["log_loss"].mean().idxmin()
    best = fits[fits["row"] == best].sort_values("log_loss", kind="stable")
    return best.iloc[0].to_dict()


def first_rule(frame: pd.DataFrame, tried: list[dict]) -> dict:
    """Return the candidate that the first rule, the best seed of all, chose, and its test metrics.

    The rule was changed to `chosen` when these answers to test images were known.
    """
    best = min((c for c in tried if c["bytes"] < LARGEST), key=lambda c: c["log_loss"])
    candidate = Candidate(frame, best["row"], best["seed"])
    scores = candidate.tested(candidate.calibration)
    return {"row": candidate.row, "seed": candidate.seed, **scores}


def unlike(classifier: SadnessClassifier, paintings: Path) -> dict[str, dict[str, float]]:
    """Return its answers to pictures that mean nothing, and to a folder of drawn paintings."""
    pictures = meaningless(classifier.image_size)
    for file in sorted(paintings.glob("*.jpg")):
        pictures[PAINTING + file.stem] = read_image(file, classifier.image_size)
    x = ask(classifier.network, np.stack([*pictures.values()]))
    p = classifier.calibration(x).round(4)
    table = pd.DataFrame({"log_odds": x.round(2), "p_sadness": p}, index=list(pictures))
    return table.to_dict("index")


def meaningless(size: int) -> dict[str, np.ndarray]:
    """Return pictures without anything in them, (size, size, 3) uint8 each."""
    rows, columns = np.mgrid[:size, :size]
    grey = {"white": np.full((size, size), 255), "grey": np.full((size, size), 128),
            "black": np.zeros((size, size))}  # fmt: skip
    for side in (1, 8, 32):
        grey[f"checks of {side} px"] = (rows // side + columns // side) % 2 * 255
    pictures = {name: np.stack([values] * 3, axis=-1) for name, values in grey.items()}
    pictures["noise"] = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    return {name: values.astype(np.uint8) for name, values in pictures.items()}


def texts(card: dict, **more) -> dict[str, str]:
    """Return the blocks of the template by name, filled with a card: the page's tables."""
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True)
    page.filters |= {"percent": percent, "accuracy": accuracy}
    template = page.get_template(TEMPLATE)
    network, images = card["network"], card["data"]["images"]
    tried = pd.DataFrame(card["candidates"])
    losses = tried.groupby("row")["log_loss"].mean()
    shares = (f"{100 * card['data']['sadness'][split] / n:.0f}" for split, n in images.items())
    values = {
        "statistic": {"mean": "means", "gram": "Gram matrices"}[network["head"]["statistic"]],
        "taps": ", ".join(network["taps"] or [BACKBONES[network["backbone"]].tap]),
        "shares": sorted(set(shares)),
        "seeds": tried["seed"].nunique(),
        "mean": losses[card["row"]],
        "others": [*losses.drop(card["row"])],
        "loss": chosen(card["candidates"])["log_loss"],
        "checked": card["threshold_on_validation"],
        "accuracies": [*tried["test_accuracy"]],
        "painted": [of for name, of in card["unlike"].items() if name.startswith(PAINTING)],
    }
    context = template.new_context({**card, **values, **more})
    return {name: "".join(block(context)).strip() for name, block in template.blocks.items()}


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def accuracy(scores: dict) -> str:
    low, high = (100 * scores[name] for name in ("low", "high"))
    return f"{percent(scores['accuracy'])} ({low:.1f} to {high:.1f})"


def asked(folder: Path) -> dict[str, str]:
    """Return the command that asks about a folder, and what it prints."""
    printed, arguments = io.StringIO(), ["predict", os.path.relpath(folder)]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        cli.main(arguments)
    return {"command": " ".join(arguments), "printed": printed.getvalue()}


if __name__ == "__main__":
    main()

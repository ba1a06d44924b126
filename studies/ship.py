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
from scipy.stats import binomtest
from studies import runs as trained
from studies.experiment import Experiment
from studies.pages import fill, table

from gramnb import cli, evaluation, runs
from gramnb.backbones import BACKBONES
from gramnb.data import demo
from gramnb.data.images import read_image
from gramnb.evaluation import Calibration, log_odds
from gramnb.predict import SHIPPED, SadnessClassifier, ask, load_network

NAME = "shipped"
PAGE = "book/model_card.md"
IMAGES = "results/states_curation/images.csv"
LARGEST = 3_000_000  # bytes of a head that ships
LEAST = 5e-6  # what a recorded probability of 0.00000 may be
BOUNDED = ("accuracy", "low", "high")
METRICS = ("n", *BOUNDED, "precision_sadness", "recall_sadness", "auc", "brier", "ece")
GROUPS = ["pictures", "in the test set", "called sadness", "right"]
PAINTING = "painting: "
WORDS = (
    "photographs and illustrations that web searches for a keyword returned; "
    "sadness: sad, crying, lonely; others: angry, confused, happy, relaxed"
)


def main() -> None:
    frame = runs.predictions(f"results/{NAME}")
    found = [
        (row, config.seed, run)
        for row, pairs in trained.found(Experiment.study(NAME)).items()
        for config, run in pairs
    ]
    tried = [
        {"row": row, "seed": seed, **judged(frame, row, seed),
         "bytes": (run.path / "model.keras").stat().st_size}
        for row, seed, run in found
    ]  # fmt: skip
    row, seed, run = found[chosen(tried)]
    card = known(frame, row, seed, run)
    card |= {"candidates": tried, "first_rule": first_rule(frame, tried)}
    paintings = demo.draw_dataset(runs.cache_dir() / "demo-artworks", "demo-artworks")
    size, calibration = run.config["image_size"], Calibration(**card["calibration"])
    card["unlike"] = unlike(SadnessClassifier(load_network(run), size, calibration), paintings)
    fill(PAGE, tables(card))
    with runs.atomic(SHIPPED / "head.keras") as temporary:
        shutil.copyfile(run.path / "model.keras", temporary)
    runs.write_json(SHIPPED / "card.json", card)
    fill("README.md", {"answers": answers(card, paintings)})
    print(f"shipped: {row}, seed {seed}")


def known(frame: pd.DataFrame, row: str, seed: int, run: runs.Run) -> dict:
    """Return the card of the chosen run, but for what compares it with others."""
    calibration, _ = calibrated(frame, row, seed)
    limit, checked = threshold(*parts(frame, row, seed, "val"), calibration)
    curated = pd.read_csv(runs.resolve(IMAGES), keep_default_na=False).query("dropped == ''")
    curated = curated.groupby("split")["sadness"].agg(["size", "sum"]).loc[["train", "val", "test"]]
    return {
        "network": run.config,
        "row": row,
        "head_sha256": hashlib.sha256((run.path / "model.keras").read_bytes()).hexdigest(),
        "calibration": vars(calibration),
        "threshold": limit,
        "threshold_on_validation": checked,
        "data": {
            "words": WORDS,
            "manifest": run.config["data"],
            "images": curated["size"].to_dict(),
            "sadness": curated["sum"].to_dict(),
        },
        "test": tested(recorded(frame, row, seed, "test"), calibration, limit),
        "groups": groups(frame, row, seed, calibration, limit),
        "versions": {"python": run.environment["python"], **run.environment["packages"]},
    }


def recorded(frame: pd.DataFrame, row: str, seed: int, split: str) -> pd.DataFrame:
    """Return a candidate's recorded answers on a split."""
    return frame.query("variant == @row and seed == @seed and split == @split")


def parts(frame: pd.DataFrame, row: str, seed: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return y and the log-odds of a candidate's images of a split."""
    part = recorded(frame, row, seed, split)
    return part["y"].to_numpy(), log_odds(part["p_sadness"], least=LEAST)


def judged(frame: pd.DataFrame, row: str, seed: int) -> dict:
    """Return what a candidate is chosen by, and its accuracy on test images, which is not it."""
    y, x = parts(frame, row, seed, "test")
    accuracy = round(float(((x > 0) == y).mean()), 6)
    return {"log_loss": calibrated(frame, row, seed)[1], "test_accuracy": accuracy}


def calibrated(frame: pd.DataFrame, row: str, seed: int) -> tuple[Calibration, float]:
    """Return a candidate's calibration, six decimals, and its log-loss on validation images."""
    y, x = parts(frame, row, seed, "val")
    fitted = vars(Calibration.fit(y, x))
    calibration = Calibration(**{name: round(value, 6) for name, value in fitted.items()})
    return calibration, log_loss(y, calibration(x))


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    return round(float(-np.log(np.where(y == 1, p, 1 - p)).mean()), 6)


def chosen(tried: list[dict]) -> int:
    """Return the position of the best seed of the best row among those small enough to ship."""
    fits = pd.DataFrame([candidate for candidate in tried if candidate["bytes"] < LARGEST])
    best = fits.groupby("row")["log_loss"].mean().idxmin()
    loss = fits.loc[fits["row"] == best, "log_loss"].min()
    return [(c["row"], c["log_loss"]) for c in tried].index((best, loss))


def threshold(y: np.ndarray, x: np.ndarray, calibration: Calibration) -> tuple[float, dict]:
    """Return the threshold of the calibrated probability, and what validation says of it."""
    p = calibration(x)
    tried = np.concatenate([[0.5], (np.unique(p)[1:] + np.unique(p)[:-1]) / 2])
    right = [((p > limit) == y).mean() for limit in tried]
    best = int(np.argmax(right))  # the first of equals, so 0.5 if nothing is better
    half, other = ((p > limit) == y for limit in (0.5, tried[best]))
    apart = int((half != other).sum())  # McNemar's exact test
    chance = binomtest(int((half & ~other).sum()), apart).pvalue if apart else 1.0
    limit = 0.5 if chance >= 0.05 else round(float(tried[best]), 3)
    return limit, {
        "accuracy_at_half": round(float(right[0]), 6),
        "best_threshold": round(float(tried[best]), 6),
        "best_accuracy": round(float(right[best]), 6),
        "mcnemar_p": round(float(chance), 6),
    }


def tested(part: pd.DataFrame, calibration: Calibration, limit: float) -> dict:
    """Return the test metrics before and after calibration.

    `low` and `high` bound the accuracy (95 %), groups of near-duplicates drawn as one.
    `ece_by_chance` is the mean ECE of as many images whose labels are drawn by these probabilities:
    what a perfect calibration would show.
    """
    y, x = part["y"].to_numpy(), log_odds(part["p_sadness"], least=LEAST)
    found = {}
    for name, p, at in (("before", Calibration()(x), 0.5), ("after", calibration(x), limit)):
        scores = evaluation.report(y, p, at)
        decided = part.assign(p_sadness=(p > at) * 1.0)
        bounds = evaluation.estimate(decided, "accuracy")
        scores |= {name: float(bounds[name]) for name in ("low", "high")}
        drawn = np.random.default_rng(0).random((500, len(p))) < p
        found[name] = {metric: round(scores[metric], 6) for metric in METRICS} | {
            "log_loss": log_loss(y, p),
            "ece_by_chance": round(float(np.mean([evaluation.ece(d, p) for d in drawn])), 6),
        }
    return found


def first_rule(frame: pd.DataFrame, tried: list[dict]) -> dict:
    """Return the candidate that the first rule, the best seed of all, chose, and its test metrics.

    The rule was changed to `chosen` when these answers to test images were known.
    """
    best = min((c for c in tried if c["bytes"] < LARGEST), key=lambda c: c["log_loss"])
    calibration, _ = calibrated(frame, best["row"], best["seed"])
    after = tested(recorded(frame, best["row"], best["seed"], "test"), calibration, 0.5)["after"]
    return {name: best[name] for name in ("row", "seed")} | after


def groups(
    frame: pd.DataFrame, row: str, seed: int, calibration: Calibration, limit: float
) -> dict[str, dict[str, int]]:
    """Return by keyword, and with and without faces: test images, called sadness, and right."""
    part = recorded(frame, row, seed, "test")
    known = pd.read_csv(runs.resolve(IMAGES), keep_default_na=False)
    known = known[known["dropped"] == ""].set_index("image_id").loc[part["image_id"]]
    called = calibration(log_odds(part["p_sadness"], least=LEAST)) > limit
    right = called == part["y"].to_numpy()
    label, faces = known["label"].to_numpy(), known["face_fraction"].astype(float).to_numpy() > 0
    masks = {name: label == name for name in sorted(set(label))}
    masks |= {"with a face found": faces, "no face found": ~faces}
    return {
        name: {"n": int(of.sum()), "sadness": int(called[of].sum()), "right": int(right[of].sum())}
        for name, of in masks.items()
    }


def unlike(classifier: SadnessClassifier, paintings: Path) -> dict[str, dict[str, float]]:
    """Return what it says of pictures that mean nothing, and of a folder of drawn paintings."""
    pictures = meaningless(classifier.image_size)
    for file in sorted(paintings.glob("*.jpg")):
        pictures[PAINTING + file.stem] = read_image(file, classifier.image_size)
    x = ask(classifier.network, np.stack([*pictures.values()]))
    said = zip(pictures, x, classifier.calibration(x), strict=True)
    return {name: {"log_odds": round(float(o), 2), "p_sadness": round(float(p), 4)}
            for name, o, p in said}  # fmt: skip


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


def tables(card: dict) -> dict[str, str]:
    """Return the tables of the page, by name."""
    return {
        "model": table([["", ""], *_model(card)]),
        "metrics": table([["", "as the network says it", "calibrated"], *_metrics(card)]),
        "groups": table([GROUPS, *_groups(card)]),
        "unlike": table([["picture", "log-odds", "p(sadness)"], *_unlike(card)]),
    }


def _model(card: dict) -> list[list[str]]:
    config, images, tried = card["network"], card["data"]["images"], card["candidates"]
    scaling, checked = card["calibration"], card["threshold_on_validation"]
    intercept = f"{scaling['intercept']:+.3f}".replace("+", "+ ").replace("-", "- ")
    shares = {f"{100 * card['data']['sadness'][split] / n:.0f}" for split, n in images.items()}
    means = pd.DataFrame(tried).groupby("row")["log_loss"].mean()
    size = f"{config['image_size']} x {config['image_size']} pixels"
    seeds, rows = ({c[name] for c in tried} for name in ("seed", "row"))
    return [
        ["Network", f"{config['backbone']}, frozen, {size}; {_reader(config)}"],
        ["Data", card["data"]["words"]],
        ["Images", ", ".join(f"{n:,} {split}" for split, n in images.items())
                   + f"; sadness is {' to '.join(sorted(shares))} % of each"],
        ["Chosen", f"{card['row']}, seed {config['seed']}, of {len(rows)} rows by {len(seeds)} "
                   f"seeds: calibrated log-loss on validation images, mean of the row's seeds "
                   f"{means[card['row']]:.3f}, of the others {means.drop(card['row']).min():.3f} "
                   f"to {means.max():.3f}; of this seed {tried[chosen(tried)]['log_loss']:.3f}"],
        ["Calibration", f"p = 1 / (1 + exp(-({scaling['slope']:.3f} x {intercept})"
                        f")), x the network's log-odds, held within {scaling['low']:.2f} and "
                        f"{scaling['high']:.2f}"],
        ["Threshold", f"{card['threshold']:g}: on validation images 0.5 is right on "
                      f"{100 * checked['accuracy_at_half']:.1f} %, the best of all "
                      f"({checked['best_threshold']:.2f}) on {100 * checked['best_accuracy']:.1f} "
                      f"%, McNemar p = {checked['mcnemar_p']:.2f}"],
    ]  # fmt: skip


def _reader(config: dict) -> str:
    """Return what reads the taps of a network, in words."""
    if not config["k"]:
        return "no taps"
    taps = ", ".join(config["taps"] or [BACKBONES[config["backbone"]].tap])
    if config["head"]["branch"] == "linear":
        what = {"mean": "means", "gram": "Gram matrices"}[config["head"]["statistic"]]
        return f"no modules: a linear layer reads the {what} of {taps} beside the pooled top"
    return f"{config['k']} modules read {taps}"


def _metrics(card: dict) -> list[list[str]]:
    both = (card["test"]["before"], card["test"]["after"])
    first = card["first_rule"]
    others = [100 * candidate["test_accuracy"] for candidate in card["candidates"]]
    by_first = f"The same by the first rule of choice: {first['row']}, seed {first['seed']}"
    scores = {"Precision of sadness": "precision_sadness", "Recall of sadness": "recall_sadness",
              "AUC": "auc", "Brier score": "brier", "Log-loss": "log_loss", "ECE, 15 bins": "ece",
              "ECE of a perfect calibration": "ece_by_chance"}  # fmt: skip
    return [
        [f"Accuracy on {both[0]['n']} test images, 95 % interval", *map(_accuracy, both)],
        [by_first, "", _accuracy(first)],
        ["Accuracy of all candidates", f"{min(others):.1f} to {max(others):.1f} %", ""],
        *(
            [name, *(f"{100 * found[key]:.1f} %" if "_sadness" in key else f"{found[key]:.3f}"
                     for found in both)]
            for name, key in scores.items()
        ),
    ]  # fmt: skip


def _accuracy(scores: dict) -> str:
    return "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * scores[name] for name in BOUNDED))


def _groups(card: dict) -> list[list[str]]:
    return [
        [name, str(of["n"]), f"{100 * of['sadness'] / of['n']:.0f} %",
         f"{100 * of['right'] / of['n']:.0f} %"]
        for name, of in card["groups"].items()
    ]  # fmt: skip


def _unlike(card: dict) -> list[list[str]]:
    said = pd.DataFrame(card["unlike"]).T
    paintings = said[said.index.str.startswith(PAINTING)]
    spread = [
        f"{paintings['log_odds'].min():.1f} to {paintings['log_odds'].max():.1f}",
        f"{paintings['p_sadness'].min():.3f} to {paintings['p_sadness'].max():.3f}",
    ]
    rows = said.drop(index=paintings.index).itertuples()
    return [
        *([row.Index, f"{row.log_odds:.1f}", f"{row.p_sadness:.3f}"] for row in rows),
        [f"{len(paintings)} drawn paintings", *spread],
    ]


def answers(card: dict, paintings: Path) -> str:
    """Return what the command line answers to the drawn paintings, and how often it is right."""
    said, ask = io.StringIO(), ["predict", os.path.relpath(paintings)]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        cli.main(ask)
    example = f"```console\n$ .venv/bin/gramnb {' '.join(ask)}\n{said.getvalue()}```"
    after, first = card["test"]["after"], card["first_rule"]
    right = (
        f"It learned from photographs. Of {after['n']} test images of their kind "
        f"{_accuracy(after)} "
        "are answered right.\nThe rule that chose this network was changed when test answers were "
        f"known; for the first rule's choice it is\n{_accuracy(first)}."
    )
    return f"{example}\n\n{right}"


if __name__ == "__main__":
    main()

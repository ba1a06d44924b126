"""Ask ten networks about paintings, and about the same paintings changed in one respect each.

    python -m studies.artworks FOLDER

FOLDER holds the paintings of results/artworks/paintings.csv, found by their content; it says why
one is left out or renamed. The rows k = 0 and k = 4 of the study `shipped` answer, five seeds each.
A dozen paintings are few, so the test photographs of these runs' own manifest are asked the same.
Recorded in results/artworks, without any photograph:

    predictions.csv      painting, title, intervention, strength, k, seed, p_sadness, log_odds
    photographs.parquet  the same by image_id, with label y, group and luminance
    scores.csv           AUC and accuracy on the photographs, and what each intervention costs them
    paintings.jpg        the paintings with all answers; interventions.jpg: one of them changed;
    maps.jpg             where the runs with modules looked

A painting is named by its `image_id`, a luminance is the mean over a picture, from 0 to 1.
"""

import sys
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from studies import runs as trained
from studies.experiment import Experiment
from studies.record import write_table
from tqdm import tqdm

from gramnb import evaluation, plots
from gramnb._keras import keras, load_model, quiet
from gramnb.backbones import build_backbone
from gramnb.config import TrainConfig
from gramnb.data import images, manifest
from gramnb.evaluation import of_sadness
from gramnb.explain import contribution_maps
from gramnb.features import probabilities
from gramnb.interventions import UNTOUCHED, intervene, label, luminance
from gramnb.predict import find_images
from gramnb.runs import Run, atomic, resolve
from gramnb.training import load_network

OUT = "results/artworks"
STUDY, ROWS = "shipped", ("k = 0", "k = 4")
STEPS = [
    (UNTOUCHED, np.nan), ("darker", 0.5), ("darker", 0.25), ("lighter", 2), ("desaturated", 0.5),
    ("desaturated", 0), ("cooler", 1.25), ("cooler", 1.5), ("warmer", 1.25), ("warmer", 1.5),
    ("blurred", 2), ("blurred", 4), ("shuffled", 2), ("shuffled", 4), ("shuffled", 8),
    ("mirrored", np.nan),
]  # fmt: skip
METRICS = ("auc", "accuracy")
CHANGED, CHANGED_BY = "At Eternity's Gate", [0, 2, 3, 5, 7, 9, 11, 13]  # of STEPS, for a figure
MAPPED = 6  # paintings with maps: half with the highest log-odds, half with the lowest


def main(folder: str) -> None:
    rows = trained.found(Experiment.study(STUDY))
    runs = [run for row in ROWS for _, run in rows[row]]
    if unfinished := [run.path.name for run in runs if not run.complete]:
        raise SystemExit(f"{unfinished[0]}: not finished; make study STUDY={STUDY}")
    config = rows[ROWS[-1]][-1][0]

    shown = recorded(Path(folder))
    pictures = read(shown, config)
    paintings = ask_all(pictures, shown["title"].reset_index(), runs, config)
    write_table(f"{OUT}/predictions.csv", paintings)
    draw(shown, pictures, paintings, [run for run in runs if run.config["k"]])

    table = manifest.kept(manifest.read(config.manifest)).query("split == 'test'").reset_index()
    pictures = read(table, config)
    light = [round(float(luminance(picture).mean()), 5) for picture in pictures]
    known = table[["image_id", "group"]].assign(y=table["sadness"], luminance=light)
    photographs = ask_all(pictures, known, runs, config)
    single = dict.fromkeys(photographs.select_dtypes("float"), "float32")
    small = photographs.astype(single | {"k": "int8", "seed": "int8"})
    with atomic(resolve(OUT) / "photographs.parquet") as temporary:
        small.to_parquet(temporary, index=False, compression="zstd", compression_level=19)
    write_table(f"{OUT}/scores.csv", scores(photographs))


def read(table: pd.DataFrame, config: TrainConfig) -> list[np.ndarray]:
    """Return the pictures of a table with paths, as the networks see them."""
    return [images.read_image(path, config.image_size) for path in table["path"]]


def recorded(folder: Path) -> pd.DataFrame:
    """Return the recorded paintings that are no icons, each with its `path` in the folder."""
    there = {images.image_id(images.read_bytes(path)): str(path) for path in find_images([folder])}
    listed = pd.read_csv(resolve(OUT) / "paintings.csv", index_col="painting")
    shown = listed.dropna(subset="title")
    if missing := sorted(set(shown.index) - set(there)):
        raise SystemExit(f"{folder}: lacks {len(missing)} paintings, first {missing[0]}")
    return shown.assign(path=[there[painting] for painting in shown.index])


def ask_all(
    pictures: list, known: pd.DataFrame, runs: list[Run], config: TrainConfig
) -> pd.DataFrame:
    """Return every run's answer to every picture at every step, beside the known columns.

    The backbone sees a picture once a step, then every head answers.
    """
    with quiet():
        body = build_backbone(config.backbone, config.image_size, taps=config.taps or None)
        top, *taps = body.outputs
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(top)
        features = keras.Model(body.inputs, [pooled, *taps])
        heads = [load_model(run.path / "model.keras") for run in runs]
    frames = []
    for name, strength in tqdm(STEPS, unit="step"):
        changed = [intervene(each, name, strength, seed=n) for n, each in enumerate(pictures)]
        with quiet():
            inputs = features.predict(np.stack(changed), batch_size=32, verbose=0)
        for run, head in zip(runs, heads, strict=True):
            log_odds = of_sadness(probabilities(head, inputs[: len(head.inputs)]))
            sadness = 1 / (1 + np.exp(-log_odds))
            frames.append(known.assign(
                intervention=name, strength=strength, k=run.config["k"], seed=run.config["seed"],
                p_sadness=sadness.round(5), log_odds=log_odds.round(4)))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def scores(photographs: pd.DataFrame) -> pd.DataFrame:
    """Return AUC and accuracy by step and k, and how far each is from the untouched pictures'."""
    rows = []
    for k, answers in with_steps(photographs).groupby("k"):
        whole = answers[answers["step"] == UNTOUCHED]
        for (step, part), metric in product(answers.groupby("step", sort=False), METRICS):
            cost = evaluation.paired_difference(part, whole, metric)
            ends = {f"change_{end}": cost[end] for end in ("low", "high")}
            change = {"change": cost["estimate"], **ends}
            known = {"step": step, "k": k, "metric": metric}
            rows.append({**known, **evaluation.estimate(part, metric), **change})
    return pd.DataFrame(rows)


def draw(shown: pd.DataFrame, pictures: list, paintings: pd.DataFrame, mapped: list[Run]) -> None:
    """Draw the paintings from sadness to others, one of them changed, and the maps of some."""
    whole = paintings[paintings["intervention"] == UNTOUCHED]
    by_modules = whole[whole["k"] == whole["k"].max()].groupby("painting")["log_odds"].mean()
    order = list(by_modules.sort_values(ascending=False).index)
    large = dict(zip(shown.index, map(images.read_image, shown["path"]), strict=True))
    titles = shown["title"]
    answers = by_network(whole, "painting", order)
    show(plots.ensembles([large[one] for one in order], list(titles[order]), answers), "paintings")

    ends = [*order[: MAPPED // 2], *order[-MAPPED // 2 :]]
    with quiet():
        batch = np.stack([pictures[shown.index.get_loc(one)] for one in ends])
        found = [contribution_maps(load_network(run), batch) for run in mapped]
    maps = [np.mean([each[name] for each in found], axis=0) for name in found[0]]
    drawn = [large[one] for one in ends]
    show(plots.explanations(drawn, maps, list(found[0]), list(titles[ends])), "maps")

    n, steps = list(titles).index(CHANGED), [STEPS[step] for step in CHANGED_BY]
    names = [label(*step) for step in steps]
    answers = by_network(with_steps(paintings[paintings["title"] == CHANGED]), "step", names)
    changed = [intervene(pictures[n], *step, seed=n) for step in steps]
    show(plots.ensembles(changed, names, answers), "interventions")


def by_network(answers: pd.DataFrame, column: str, order: list) -> dict[str, np.ndarray]:
    """Return {network: (runs, pictures)}, probabilities, pictures by their column in this order."""
    table = answers.pivot(index=["k", "seed"], columns=column, values="p_sadness")[order]
    return {f"k = {k}": own.to_numpy() for k, own in table.groupby("k")}


def with_steps(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.assign(step=list(map(label, answers["intervention"], answers["strength"])))


def show(figure: Figure, name: str) -> None:
    """Write a figure as JPEG: of paintings, PNG takes several times as much."""
    picture = Image.open(BytesIO(figure.png())).convert("RGB")
    with atomic(resolve(OUT) / f"{name}.jpg") as temporary:
        picture.save(temporary, optimize=True, quality=82, subsampling=0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])

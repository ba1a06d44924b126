"""Make the models that ship with the package, by the rule of results/candidates/plan.md.

    make study STUDY=candidates   # every candidate, asked about the collections it has not seen
    make study STUDY=released     # the networks that ship, trained on all collections
    pip install --no-deps onnx tf2onnx
    python -m studies.ship

Two networks ship. "best" is the candidate with the lowest calibrated log-loss on collections it has
not seen; "gram" is the paper's kind, with four Gram modules. Calibration, threshold and the first
figures of the model card come from the candidates' answers about left-out collections, which are
recorded, so that anyone can compute them again without the images. Written are the files of
src/gramnb/shipped/, the tables of book/model_card.md and the example in README.md.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score
from studies.experiment import Experiment
from studies.pages import fill

from gramnb import TrainConfig, evaluation, runs
from gramnb.data import demo
from gramnb.evaluation import Calibration, log_odds
from gramnb.predict import SadnessClassifier
from gramnb.runs import Run
from gramnb.shipped import MODELS, SHIPPED, card

CANDIDATES, RELEASED = "candidates", "released"
GRAM = "k = 4, seven emotions"
IMAGES = "results/pool/images.csv"
EARLIER = "results/candidates/earlier.csv"  # of `gramnb predict` at commit 2e1d13ecfd59
PAGE = "book/model_card.md"
LEAST = 5e-6  # what a recorded probability of 0.00000 may be
RECALL = 0.7  # at which false alarms of each emotion are compared
FOUND = "called at 70 % recall"
LARGE = 4096  # numbers; smaller weights stay in float32, as normalisation needs
LARGE_FOLDED = 20_000  # the same in ONNX, where normalisation is folded into kernels
PAINTINGS = "runs/cache/demo-artworks"
METRICS = ("accuracy", "auc", "precision_sadness", "recall_sadness", "brier", "ece")


def main() -> None:
    from studies import runs as trained  # TensorFlow, which the pages that read answers do not need

    found = answers()
    tried = {row: scores(found, row) for row in found["variant"].unique()}
    rows = {"best": min(tried, key=lambda row: tried[row]["log_loss"]), "gram": GRAM}
    released = trained.found(Experiment.study(RELEASED))
    demo.draw_dataset(PAINTINGS, "demo-artworks")
    for name, row in rows.items():
        ((_, run),) = released[row]
        versions = {"python": run.environment["python"], **run.environment["packages"]}
        about = {"row": row, "candidates": tried, **measured(found, row), **internal(row)}
        about |= {"network": run.config, "sha256": {"npz": "", "onnx": ""}, "versions": versions}
        write_weights(run, SHIPPED / f"{name}.npz")
        write_card(name, about)
        write_onnx(name, SHIPPED / f"{name}.onnx")
        write_card(name, about)
        write_card(name, about | {"unlike": unlike(name)})
    fill(PAGE, "ship", **texts())
    fill("README.md", "ship", **texts(), **asked(PAINTINGS))


def write_card(name: str, about: dict) -> None:
    """Write a shipped model's card, with the sha256 of the files that it has by now."""
    for kind in about["sha256"]:
        data = (SHIPPED / f"{name}.{kind}").read_bytes()
        about["sha256"][kind] = hashlib.sha256(data).hexdigest()
    runs.write_json(SHIPPED / f"{name}.json", about)


def emotion_of() -> pd.DataFrame:
    """Return each image's collection (`source`) and `emotion`, by image_id."""
    images = pd.read_csv(runs.resolve(IMAGES)).query("dropped != 'duplicate'")
    return images.drop_duplicates("image_id").set_index("image_id")[["source", "emotion"]]


def answers() -> pd.DataFrame:
    """Return the recorded answers about left-out collections, with `x`, the log-odds.

    Columns of `runs.predictions`, and each image's collection (`source`) and `emotion`.
    """
    frame = runs.predictions(f"results/{CANDIDATES}").query("split == 'test'")
    x = log_odds(frame["p_sadness"], least=LEAST)
    return frame.join(emotion_of(), on="image_id").assign(x=x)


def calibrated(own: pd.DataFrame) -> pd.DataFrame:
    """Return answers with `p`, each collection's calibrated on the answers about the others."""
    parts = []
    for source, part in own.groupby("source"):
        rest = own[own["source"] != source]
        parts.append(part.assign(p=Calibration.fit(rest["y"], rest["x"])(part["x"])))
    return pd.concat(parts)


def scores(found: pd.DataFrame, row: str) -> dict[str, float]:
    """Return what a candidate is chosen by, and its AUC: both averaged over collections."""
    parts = [part for _, part in calibrated(found[found["variant"] == row]).groupby("source")]
    metrics = {"log_loss": log_loss, "auc": roc_auc_score}
    return {name: round(np.mean([metric(part["y"], part["p"]) for part in parts]), 6)
            for name, metric in metrics.items()}  # fmt: skip


def measured(found: pd.DataFrame, row: str) -> dict:
    """Return calibration, threshold and figures of a candidate on collections it had not seen."""
    own = found[found["variant"] == row]
    fitted = vars(Calibration.fit(own["y"], own["x"]))
    own = calibrated(own)
    p = own["p"].to_numpy()
    drawn = np.random.default_rng(0).random((500, len(p))) < p
    by_chance = np.mean([evaluation.score("ece", y, p, np.ones((1, len(p)))) for y in drawn])
    return {
        "calibration": {name: round(value, 6) for name, value in fitted.items()},
        "threshold": 0.5,
        "learned": round(own["y"].mean(), 6),
        "external": {source: figures(part) for source, part in own.groupby("source")},
        "together": {**figures(own), "ece_by_chance": round(by_chance, 6)},
        "emotions": emotions(own),
    }


def figures(part: pd.DataFrame) -> dict[str, float]:
    """Return the metrics of calibrated answers, and 95 % intervals of AUC: groups drawn as one."""
    found = evaluation.report(part["y"], part["p"])
    auc = evaluation.estimate(part.assign(p_sadness=part["p"]), "auc")
    wanted = {**{name: found[name] for name in METRICS}, "low": auc["low"], "high": auc["high"]}
    wanted |= {"log_loss": log_loss(part["y"], part["p"])}
    return {"n": len(part)} | {name: round(float(value), 6) for name, value in wanted.items()}


def emotions(own: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return by emotion: images, and the share called sadness at 0.5 and at a recall of 70 %.

    The second threshold is one for all collections: the one that 70 % of sad images are above.
    """
    limit = np.quantile(own.loc[own["y"] == 1, "p"], 1 - RECALL)
    called = pd.DataFrame({"n": 1, "called": own["p"] > 0.5, FOUND: own["p"] > limit})
    table = called.groupby(own["emotion"]).agg({"n": "sum", "called": "mean", FOUND: "mean"})
    return table.round(6).to_dict("index")


def internal(row: str) -> dict:
    """Return a released network's own test: images of the collections it learned from."""
    own = runs.predictions(f"results/{RELEASED}").query("split == 'test' and variant == @row")
    own = own.assign(p=own["p_sadness"]).join(emotion_of(), on="image_id")
    images = {"train": int(own["n_train"].iloc[0]), "test": len(own)}
    return {"images": images, "internal": figures(own), "internal_emotions": emotions(own)}


def earlier() -> dict[str, float]:
    """Return the AUC by collection of the model that shipped before; it had learned from one."""
    found = answers().drop_duplicates("image_id").set_index("image_id")
    own = pd.read_csv(runs.resolve(EARLIER)).set_index("image_id").join(found[["y", "source"]])
    parts = own[own["source"] != "states"].groupby("source")
    return {source: roc_auc_score(part["y"], part["p_sadness"]) for source, part in parts}


def write_weights(run: Run, file: Path) -> None:
    """Write the weights that a run's training changed, as `training.load_shipped` reads them."""
    from gramnb._keras import load_model, quiet
    from gramnb.training import classifier

    with quiet():
        before = classifier(TrainConfig.of(run)).get_weights()
        after = load_model(run.path / "model.keras").get_weights()
    changed = {
        str(place): new.astype(np.float16 if new.size > LARGE else np.float32)
        for place, (old, new) in enumerate(zip(before, after, strict=True))
        if not np.array_equal(old, new)
    }
    with runs.atomic(file) as temporary:
        np.savez(temporary, **changed)


def write_onnx(name: str, file: Path) -> None:
    """Write a shipped network, as read back, for ONNX Runtime, its large kernels in float16."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    from gramnb._keras import quiet
    from gramnb.training import load_shipped

    with quiet():
        network = load_shipped(name)
        signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="image")]
        model, _ = tf2onnx.convert.from_keras(network, signature, opset=17)
    graph = model.graph
    for weight in list(graph.initializer):
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > LARGE_FOLDED:
            small = onnx.numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half")
            graph.initializer.remove(weight)
            graph.initializer.append(small)
            back = onnx.helper.make_node(
                "Cast", [small.name], [weight.name], to=onnx.TensorProto.FLOAT
            )
            graph.node.insert(0, back)
    with runs.atomic(file) as temporary:
        onnx.save(model, temporary)


def unlike(name: str) -> dict[str, float]:
    """Return its answers to pictures that mean nothing, and the range of those to paintings."""
    model = SadnessClassifier.load(name)
    pictures = meaningless(model.image_size)
    p = model.ask(np.stack([*pictures.values()])).round(4).tolist()
    found = dict(zip(pictures, p, strict=True))
    drawn = model.predict([runs.resolve(PAINTINGS)], progress=False)["p_sadness"]
    return found | {"drawn, lowest": round(drawn.min(), 4), "drawn, highest": round(drawn.max(), 4)}


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


def texts() -> dict:
    """Return what the pages say of the shipped models, by name."""
    return {"cards": {name: card(name) for name in MODELS}, "earlier": earlier(), "found": FOUND}


def asked(folder: str) -> dict[str, str]:
    """Return the command that asks about a folder, and what it prints."""
    arguments = ["predict", os.path.relpath(runs.resolve(folder))]
    command = [Path(sys.executable).with_name("gramnb"), *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {"command": " ".join(arguments), "printed": printed}


if __name__ == "__main__":
    main()

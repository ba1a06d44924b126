"""Trained networks read back in Keras: a run's, or one that ships; and a run asked again.

Every answer in Keras is by `features.probabilities`. `transfer` asks a run about other data sets as
training asks it about validation and test: a frozen head reads cached features.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gramnb import shipped
from gramnb._keras import keras, load_model, quiet
from gramnb.backbones import build_backbone
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.features import prepare_inputs, probabilities
from gramnb.models import join
from gramnb.runs import Run, resolve
from gramnb.training import check_files, classifier

__all__ = ["load_network", "load_shipped", "probabilities", "transfer"]


def load_network(run: Run) -> keras.Model:
    """Return a run's network from images (0-255) to probabilities, a head on its backbone.

    Raises:
        ValueError: a damaged file, or a network of other shapes or of weights that are no numbers.
    """
    file, config = run.path / "model.keras", TrainConfig.of(run)
    with quiet():
        model = load_model(file)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ValueError(f"{file}: holds weights that are no numbers; train the run again")
    where = (config.backbone, config.image_size, config.weights, config.taps or None)
    try:
        if config.frozen:
            model = join(build_backbone(*where), model)
        shapes = [tensor.shape[1:] for tensor in (*model.inputs, *model.outputs)]
        if shapes != [(config.image_size, config.image_size, 3), (len(config.classes),)]:
            raise ValueError(f"inputs and outputs have shapes {shapes}")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file}: not the network that config.json beside it says ({error}); train it again"
        ) from error
    return model


def load_shipped(name: str = shipped.MODELS[0]) -> keras.Model:
    """Return a shipped network from images (0-255) to probabilities.

    Its file holds the weights that training has changed, as numbers, kernels in float16; the rest
    are the backbone's own. Each stands under its place in `get_weights`.

    Raises:
        ValueError: the file is not the one of its card.
    """
    data = shipped.content(name, "npz")
    config = TrainConfig.model_validate(shipped.card(name)["network"], extra="ignore")
    with quiet():
        network = classifier(config)
    weights = network.get_weights()
    with np.load(io.BytesIO(data), allow_pickle=False) as changed:
        for place in changed.files:
            weights[int(place)] = changed[place].astype(np.float32)
    network.set_weights(weights)
    return network


def transfer(
    run: Run, others: Mapping[str, str | Path], progress: bool = True
) -> dict[str, pd.DataFrame]:
    """Predict other data sets' kept rows with a run's network and keep the answers in the run.

    others: manifests, relative to the project root, by the name that a data set's predictions get.
    Returned is of each image_id, split ("test"), fold, group, y, p_sadness.
    """
    config, answers = TrainConfig.of(run), {}
    with quiet():
        model = load_model(run.path / "model.keras")
    for dataset, manifest in others.items():
        table = manifests.kept(manifests.read(resolve(manifest))).reset_index(drop=True)
        check_files(table, str(manifest))
        inputs = prepare_inputs(table, config, progress)
        answers[dataset] = inputs.predict(model, np.arange(len(table)), "test")
        run.write_predictions(answers[dataset], dataset)
    return answers

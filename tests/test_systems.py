"""The page of systems against what is built, the profiles that train them, and their study."""

import ast
import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest
import yaml
from studies import costs
from studies.experiment import Experiment

from gramnb import paper
from gramnb._keras import keras
from gramnb.backbones import BACKBONES, build_backbone
from gramnb.models import HeadOptions

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results" / "systems"
TAPS = {
    "EfficientNetV2B2": ("block3b_project_conv", 56),
    "EfficientNetV2S": ("block3b_project_conv", 64),
    "EfficientNetV2B0": ("block3b_project_conv", 48),
    "EfficientNetV2B3": ("block3b_project_conv", 56),
    "ResNet50": ("conv3_block2_2_conv", 128),
    "EfficientNetLite0": ("block3b_project_conv", 40),
}


@pytest.fixture(scope="module")
def systems():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return {name: one for name, (one,) in Experiment.study("systems").configs().items()}


def tables():
    """The page's two tables, of systems and of taps, each indexed by its first column."""
    text = (ROOT / "book" / "systems.md").read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        yield pd.DataFrame(rows[2:], columns=rows[0]).set_index(rows[0][0])


@pytest.fixture(scope="module")
def page():
    return next(tables())


def test_every_backbone_has_every_k_and_the_others_are_there(systems):
    gram = {
        (config.backbone, config.k)
        for config in systems.values()
        if config.network == "gram" and not config.centre_loss
    }
    assert gram == set(itertools.product(TAPS, range(6)))
    others = [c for c in systems.values() if c.network == "multilevel" or c.centre_loss]
    assert [(c.network, c.backbone, c.k, c.centre_loss) for c in others] == [
        ("gram", "EfficientNetV2S", 4, 0.1),
        ("multilevel", "ResNet50", 0, 0.0),
    ]
    assert len(systems) == len(gram) + 2
    assert not any(config.frozen or config.taps for config in systems.values())
    assert {config.head for config in systems.values()} == {HeadOptions()}


def test_the_page_lists_every_system(systems, page):
    assert list(page.index) == list(systems)
    for name, row in page.iterrows():
        config = systems[name]
        if config.network == "multilevel":
            continue
        channels = TAPS[config.backbone][1]
        said = f"width {3 * channels} = 3 x {channels}"
        if config.k:
            said = f"tap of {channels} sub-maps"
        if config.centre_loss:
            said = f"weight {config.centre_loss:g}"
        assert "V2B2" in name or said in row["Our choice"]


def test_the_page_names_the_taps():
    _, taps = tables()
    assert list(taps.index) == list(TAPS)
    for name, (tap, channels) in TAPS.items():
        assert list(taps.loc[name]) == [f"`{tap}`", f"{channels}"]


def test_the_pages_numbers_are_the_recorded_ones(page):
    recorded = pd.read_csv(FOLDER / "costs.csv", index_col="system")
    assert list(recorded.index) == list(page.index)
    said = [f"{count:,}" for count in recorded["parameters"]]
    assert list(page["Parameters"]) == said
    said = [f"{count / 1e6:,.0f}" for count in recorded["multiply_adds"]]
    assert list(page["Multiply-adds"]) == said


def test_the_recorded_numbers_are_those_of_the_networks(systems):
    """Recomputed for the two quickest backbones; the multi-level network stands on one of them."""
    recorded = pd.read_csv(FOLDER / "costs.csv", index_col="system")
    cheap = {n: c for n, c in systems.items() if c.backbone in ("EfficientNetLite0", "ResNet50")}
    with keras.StatelessScope(initialize_variables=False):
        found = pd.DataFrame(costs.costs(cheap)).T
    assert len(found) == 13
    pd.testing.assert_frame_equal(found, recorded.loc[found.index], check_names=False)


@pytest.mark.parametrize("name", TAPS)
def test_taps_of_the_systems(name):
    tap, channels = TAPS[name]
    with keras.StatelessScope(initialize_variables=False):
        model = build_backbone(name, 64, "none")
    assert (BACKBONES[name].tap, BACKBONES[name].tap_channels) == (tap, channels)
    layer = model.get_layer(tap)
    assert isinstance(layer, keras.layers.Conv2D) and layer.filters == channels
    assert model.output_shape[1] == (None, 8, 8, channels)


def profile(name):
    """A profile over notebook 03's defaults, as the Snakefile reads it."""
    file = ROOT / "profiles" / f"{name}.yaml"
    said = yaml.safe_load(file.read_text())
    known = papermill.inspect_notebook(ROOT / "notebooks" / "03_training.ipynb")
    own = {name: ast.literal_eval(each["default"]) for name, each in known.items()
           if name not in ("seed", "settings", "runs")}  # fmt: skip
    return Experiment.parse({**said, "base": own | said.get("base", {})}, file.name)


def profile_configs(name):
    return [(row, one) for row, each in profile(name).configs().items() for one in each]


def test_profile_webemo_is_the_papers_and_zhangs_network_beside_it():
    said, found = paper.SETTINGS, [config for _, config in profile_configs("webemo")]
    counted = Counter((config.network, config.k) for config in found)
    networks = [("gram", k) for k in (0, *said.modules)] + [("multilevel", 0)]
    assert counted == dict.fromkeys(networks, said.runs)
    assert len({(config.network, config.k, config.seed) for config in found}) == len(found)
    for config in found:
        theirs = config.network == "multilevel"
        assert config.backbone == ("ResNet50" if theirs else said.backbone)
        assert config.epochs == (said.epochs_zhang if theirs else said.epochs)
        papers_recipe(config)


def test_profile_webemo_v2s_is_the_later_work():
    found = [config for _, config in profile_configs("webemo_v2s")]
    counted = pd.Series([(c.k, c.centre_loss) for c in found]).value_counts()
    assert counted.to_dict() == {(0, 0.0): 5, (4, 0.0): 5, (4, 0.1): 5}
    assert len({(c.k, c.seed, c.centre_loss) for c in found}) == 15
    for config in found:
        assert config.backbone == "EfficientNetV2S"
        assert config.epochs == paper.SETTINGS.epochs
        papers_recipe(config)


def papers_recipe(config):
    said = paper.SETTINGS
    for replicas in (1, said.gpus, 4):  # the paper's batch and rate, whatever trains it
        whole = config.resolved(replicas)
        assert whole.global_batch == said.gpus * said.batch_size
        assert whole.learning_rate == said.gpus * said.learning_rate
    assert (config.optimizer, config.augment) == (said.optimizer.lower(), said.randaugment)
    assert (config.image_size, config.frozen) == (said.image_size, False)
    assert (config.schedule, config.weight_decay, config.train_share) == ("constant", 0.0, 1.0)
    assert config.head == HeadOptions()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_profiles_name_parameters_that_notebooks_have(name):
    assert profile_configs(name)
    for chapter, given in profile(name).chapters.items():
        known = papermill.inspect_notebook(ROOT / "notebooks" / f"{chapter}.ipynb")
        assert set(given) <= set(known)


def test_the_study_trained_every_system(systems):
    """Each row's losses are finite, and it has answered every test image after loading again."""
    history = pd.read_csv(FOLDER / "history.csv").set_index("variant")
    answers = pd.read_parquet(FOLDER / "predictions.parquet")
    assert list(history.index) == list(systems)
    assert np.isfinite(history[["loss", "val_loss"]]).all(axis=None)
    counted = answers.groupby("variant")["image_id"].nunique()
    assert set(counted.index) == set(systems) and counted.nunique() == 1
    assert answers["p_sadness"].between(0, 1).all()

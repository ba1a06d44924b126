"""The page of systems against what is built, the profiles that train them, and their study."""

import ast
import re
from collections import Counter

import pandas as pd
import papermill
import pytest
import yaml
from conftest import ROOT
from studies import costs
from studies.experiment import Experiment

from gramnb import paper
from gramnb._keras import keras
from gramnb.choices import BACKBONES, HeadOptions

FOLDER = ROOT / "results" / "systems"
SYSTEMS = ("EfficientNetV2B2", "EfficientNetV2S", "EfficientNetV2B0", "EfficientNetV2B3",
           "ResNet50", "EfficientNetLite0")  # fmt: skip


def test_the_pages_numbers_are_the_recorded_ones():
    """A row a backbone, with both its sizes; the multi-level network and the loss have one each."""
    recorded = pd.read_csv(FOLDER / "costs.csv", index_col="system")
    text = (ROOT / "book" / "systems.md").read_text()
    lines = re.search(r"^\| System \| Sub-maps.*\n(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    page = pd.DataFrame(rows[2:], columns=rows[0]).set_index("System")
    names = {name: [f"{name}, k = 0", f"{name}, k = 4"] for name in SYSTEMS}
    names["EfficientNetV2S, centre loss"] = [None, "EfficientNetV2S, k = 4, centre loss"]
    names["multi-level ResNet50"] = ["multi-level ResNet50", None]
    assert list(page.index) == list(names)
    for system, pair in names.items():
        for k, name in zip((0, 4), pair, strict=True):
            millions = f"{recorded.multiply_adds[name] / 1e6:,.0f}" if name else ""
            assert page.at[system, f"Multiply-adds, k = {k}"] == millions
            count = f"{recorded.parameters[name]:,}" if name else ""
            assert page.at[system, f"Parameters, k = {k}"] == count
        if system in SYSTEMS:
            channels, tap = BACKBONES[system]
            assert page.at[system, "Sub-maps"] == f"{channels}" and f"`{tap}`" in text


def test_the_recorded_numbers_are_those_of_the_networks():
    """Recomputed for the two quickest backbones; the multi-level network stands on one of them."""
    recorded = pd.read_csv(FOLDER / "costs.csv", index_col="system")
    with keras.StatelessScope(initialize_variables=False):
        found = costs.costs(("EfficientNetLite0", "ResNet50"))
    assert len(found) == 13
    pd.testing.assert_frame_equal(found, recorded.loc[found.index])


def profile(name):
    """A profile over notebook 03's defaults, as the Snakefile reads it."""
    file = ROOT / "profiles" / f"{name}.yaml"
    said = yaml.safe_load(file.read_text())
    known = papermill.inspect_notebook(ROOT / "notebooks" / "03_training.ipynb")
    own = {name: ast.literal_eval(each["default"]) for name, each in known.items()
           if name not in ("seed", "settings", "runs")}  # fmt: skip
    return Experiment.parse({**said, "base": own | said.get("base", {})}, file.name)


def configs(name):
    return [config for row in profile(name).configs().values() for config in row]


def test_profile_webemo_is_the_papers_and_zhangs_network_beside_it():
    said, found = paper.SETTINGS, configs("webemo")
    counted = Counter((config.network, config.k) for config in found)
    networks = [("gram", k) for k in (0, *said.modules)] + [("multilevel", 0)]
    assert counted == dict.fromkeys(networks, said.runs)
    assert len({(config.network, config.k, config.seed) for config in found}) == len(found)
    for config in found:
        theirs = config.network == "multilevel"
        assert config.backbone == ("ResNet50" if theirs else said.backbone)
        assert config.epochs == (said.epochs_zhang if theirs else said.epochs)
        for replicas in (1, said.gpus, 4):  # the paper's batch and rate, whatever trains it
            whole = config.resolved(replicas)
            assert whole.global_batch == said.gpus * said.batch_size
            assert whole.learning_rate == said.gpus * said.learning_rate
        assert (config.optimizer, [*config.augment]) == (said.optimizer.lower(), said.randaugment)
        assert (config.image_size, config.frozen) == (said.image_size, False)
        assert (config.schedule, config.weight_decay, config.train_share) == ("constant", 0.0, 1.0)
        assert config.head == HeadOptions()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_profiles_name_parameters_that_notebooks_have(name):
    assert configs(name)
    for chapter, given in profile(name).chapters.items():
        known = papermill.inspect_notebook(ROOT / "notebooks" / f"{chapter}.ipynb")
        assert set(given) <= set(known)

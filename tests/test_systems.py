"""The page of systems against what is built, the profiles that train them, and their study."""

import ast
from collections import Counter

import pandas as pd
import papermill
import pytest
import yaml
from conftest import ROOT
from studies import costs, pages
from studies.experiment import Experiment

from gramnb import paper
from gramnb._keras import keras
from gramnb.choices import HeadOptions


def test_the_page_says_what_the_command_writes():
    said, sizes = (ROOT / costs.PAGE).read_text(), costs.sizes()
    assert pages.filled(said, "costs", **sizes) == said
    assert all(f"`{backbone.tap}`" in said for backbone in sizes["backbones"].values())


def test_the_recorded_numbers_are_those_of_the_networks():
    """Recomputed for the two quickest backbones; the multi-level network stands on one of them."""
    recorded = pd.read_csv(ROOT / costs.FILE, index_col="system")
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

"""Settings check themselves: one line a mistake, whatever is given."""

import json

import pytest

from gramnb.config import TrainConfig
from gramnb.data.curation import Recipe
from gramnb.runs import Run

MULTILEVEL = {"network": "multilevel", "backbone": "ResNet50", "k": 0}
MISTAKES = [
    ({"k": 2.5}, "k must be a valid integer, got "),
    ({"k": 10**30, "\x1b[2J": 1}, "k must be .*; TrainConfig has no setting '.x1b"),
    ({"k": -1}, "k must be greater than or equal to 0, got -1"),
    ({"augment": (10**9, 7)}, "augment.0 must be .* equal to 100, got"),
    ({"learning_rate": float("nan")}, "learning_rate must be .* number"),
    *(({"augment": a}, "augment.* (must|should|is) ") for a in ("37", (3, 7, 1))),
    ({"head": "linear"}, "head must be .* HeadOptions, got"),
    ({"head": {"dropout": 2}}, "head.dropout must be less than 1, got 2"),
    ({"taps": ["a", "a"]}, "taps: .* says one of them twice"),
    *(({"taps": t}, "taps.* must be a valid .*, got") for t in ("abc", [1])),
    ({"frozen": "no"}, "frozen must be a valid boolean, got 'no'"),
    ({"epoch": 3, "fold": -2}, "fold must be .* to -1, got -2; TrainConfig has no setting epoch"),
    ({"backbone": "VGG16"}, "backbone must be 'EfficientNetV2B0', .*, got 'VGG16'"),
    ({"network": "multilevel"}, "network 'multilevel' is ResNet50 with its own"),
    ({**MULTILEVEL, "head": {"dropout": 0.1}}, "trained whole: .*head=HeadOptions"),
    ({"frozen": True, "weights": "none"}, "what is not trained needs trained weights"),
    ({"validation": False, "fold": 0}, "without validation there is no best epoch"),
    ({"trained_from": "a", "centre_loss": 0.1}, "trained_from goes with frozen=False and centre_"),
    ({"classes": ["sadness", "fear"]}, "classes must differ, the second be sadness"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "message"), MISTAKES)
def test_a_mistake_is_one_line(values, message):
    for make in (lambda given: TrainConfig(**given), TrainConfig.model_validate):
        with pytest.raises(ValueError, match=message) as error:
            make(values)
        assert "\n" not in str(error.value) and type(error.value) is ValueError


def test_settings_survive_json_and_changes_are_checked():
    for one in (TrainConfig(taps=["a"], k=2, head={"rank": 8, "branch": "linear"}), Recipe()):
        assert type(one).model_validate_json(one.model_dump_json()) == one
        assert type(one).model_validate(json.loads(one.model_dump_json())) == one
        with pytest.raises(ValueError, match="seed must be"):
            one.replace(seed=-1)
        with pytest.raises(ValueError):
            one.seed = 3


def test_a_global_batch_and_its_rate_are_the_same_on_any_number_of_devices():
    whole, scaled = TrainConfig(global_batch=128, learning_rate=0.004), TrainConfig()
    for replicas, held in ((1, 128), (2, 64), (4, 32)):
        found = whole.resolved(replicas)
        assert (found.global_batch, found.learning_rate, found.batch_size) == (128, 0.004, held)
        assert found.resolved(8) == found  # nothing is left to the machine
        found = scaled.resolved(replicas)  # as the paper scales both
        assert (found.global_batch, found.learning_rate) == (64 * replicas, 0.002 * replicas)
    with pytest.raises(ValueError, match="global_batch 128 does not divide among 3 replicas"):
        whole.resolved(3)


def test_a_runs_name_follows_from_settings_however_they_are_written(tmp_path):
    """The names that earlier versions gave; the data are part of it, not their place."""
    (tmp_path / "m.parquet").write_bytes(b"data")
    config = TrainConfig(manifest=str(tmp_path / "m.parquet"))
    linear = {"frozen": True, "taps": ["a"], "head": {"rank": 8, "branch": "linear"}}
    for more, name in (
        ({}, "EfficientNetV2B2-k4-s0-a3304981"),
        ({"weight_decay": 0, "train_share": 1}, "EfficientNetV2B2-k4-s0-a3304981"),
        (linear, "EfficientNetV2B2-k4-s0-e3bbe6aa"),
    ):
        assert Run.of(tmp_path, config.replace(**more).record(1)).path.name == name

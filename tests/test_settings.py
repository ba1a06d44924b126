"""Settings check themselves: one line a mistake, whatever is given."""

import json
from pathlib import Path

import pytest

from gramnb.config import TrainConfig
from gramnb.data.curation import Recipe
from gramnb.models import HeadOptions
from gramnb.runs import Run

RESULTS = Path(__file__).parents[1] / "results"
NAN, INF = float("nan"), float("inf")
MULTILEVEL = {"network": "multilevel", "backbone": "ResNet50", "k": 0}


@pytest.mark.parametrize(
    "values, message",
    [
        *(({"k": k}, "k must be a valid integer, got ") for k in (2.5, True, NAN)),
        ({"k": -1}, "k must be greater than or equal to 0, got -1"),
        *(({"seed": s}, "seed must be ") for s in (1.5, -1, 2**40, "x")),
        *(({"learning_rate": r}, "learning_rate must be .* number|than 0") for r in (NAN, INF, 0)),
        *(({n: 1.5}, f"{n} must be a valid integer") for n in ("epochs", "batch_size", "fold")),
        *(({n: 0}, f"{n} must be .* equal to 1, got 0") for n in ("epochs", "batch_size")),
        *(
            ({"augment": a}, "augment.* (must|should|is) ")
            for a in (3, "37", (3,), (3, 7, 1), (0, 7), (3, 11), (3, 7.5), (3, -1), {"N": 3})
        ),
        *(({"head": h}, "head must be .* HeadOptions, got") for h in (None, [], "linear")),
        ({"head": {"dropout": 2}}, "head.dropout must be less than 1, got 2"),
        ({"head": {"droput": 0}}, "has no setting head.droput"),
        *(({"taps": t}, "taps.* must be a valid .*, got") for t in ("abc", [1], None)),
        ({"frozen": "no"}, "frozen must be a valid boolean, got 'no'"),
        ({"manifest": None}, "manifest must be a valid string, got None"),
        ({"image_size": 128.5}, "image_size must be a valid integer, got 128.5"),
        (
            {"epoch": 3, "fold": -2},
            "fold must be .* to -1, got -2; TrainConfig has no setting epoch",
        ),
        ({"backbone": "VGG16"}, "backbone must be 'EfficientNetV2B0', .*, got 'VGG16'"),
        ({"train_share": 1.5}, "train_share must be less than or equal to 1, got 1.5"),
        ({"network": "multilevel"}, "network 'multilevel' is ResNet50 with its own"),
        ({**MULTILEVEL, "head": {"dropout": 0.1}}, "trained whole: .*head=HeadOptions"),
        ({"frozen": True, "weights": "none"}, "a frozen backbone needs trained weights"),
        ({"validation": False, "fold": 0}, "without validation there is no best epoch"),
        ({"validation": False, "evaluate": "last"}, "without validation there is no best epoch"),
        *(
            ({"trained_from": "a", **more}, "trained_from keeps trained weights below a layer")
            for more in ({"frozen": True}, {"centre_loss": 0.1}, {"weights": "none"})
        ),
        ({**MULTILEVEL, "trained_from": "a"}, "network 'multilevel' is ResNet50 with its own"),
        ({"classes": ["sadness", "fear"]}, "classes must be different, the second of them sadness"),
    ],
)
def test_a_mistake_is_one_line(values, message):
    for make in (lambda: TrainConfig(**values), lambda: TrainConfig.model_validate(values)):
        with pytest.raises(ValueError, match=message) as error:
            make()
        assert "\n" not in str(error.value) and type(error.value) is ValueError


def test_settings_survive_json_and_changes_are_checked():
    for one in (TrainConfig(taps=["a"], k=2, head={"rank": 8, "branch": "linear"}), Recipe()):
        assert type(one).model_validate_json(one.model_dump_json()) == one
        assert type(one).model_validate(json.loads(one.model_dump_json())) == one
        with pytest.raises(ValueError, match="seed must be"):
            one.replace(seed=-1)
        with pytest.raises(ValueError):
            one.seed = 3


def test_a_frozen_run_has_no_augmentation_and_a_variant_says_what_differs():
    small = TrainConfig(k=2, frozen=True)
    assert small.augment is None and TrainConfig().augment == (3, 7)
    assert small.variant == "k = 2, frozen"
    changed = small.replace(frozen=False, head=HeadOptions(gram_scaling="positions", momentum=0.9))
    assert changed.variant == "k = 2, fine-tuned, gram_scaling positions"
    assert small.replace(centre_loss=0.1).variant == "k = 2, frozen, centre_loss 0.1"
    assert TrainConfig(**MULTILEVEL).variant == "multilevel, fine-tuned"
    linear = small.replace(head=HeadOptions(branch="linear", rank=8))
    assert linear.variant == "k = 2, frozen, branch linear, rank 8"


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


@pytest.mark.parametrize("study", sorted(file.parent.name for file in RESULTS.glob("*/runs.json")))
def test_recorded_settings_can_still_be_read(study):
    recorded = json.loads((RESULTS / study / "runs.json").read_text())
    for own in recorded["runs"].values():
        known = recorded["all"] | own
        config = TrainConfig.model_validate(known, extra="ignore")
        assert config.k == known["k"] and config.variant == known["variant"]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[]", b"null", b'{"k": 4', b'{"k": "4"}', b'{"head": null}']
)
def test_a_damaged_config_is_named_in_one_line(content, tmp_path):
    (tmp_path / "a-run").mkdir()
    (tmp_path / "a-run" / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="^a-run/config.json: (?!a-run)") as error:
        TrainConfig.of(Run(tmp_path / "a-run"))
    assert "\n" not in str(error.value)

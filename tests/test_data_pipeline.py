import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gramnb.data import pipeline


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Seven one-coloured pictures; the red level is ten times the row number."""
    folder = tmp_path_factory.mktemp("colours")
    rows = []
    for row in range(7):
        path = folder / f"{row}.png"
        Image.new("RGB", (20, 30), (10 * row, 100, 200)).save(path)
        rows.append({"path": str(path), "sadness": row % 2})
    return pd.DataFrame(rows)


def levels(data):
    return np.concatenate([images.numpy()[:, 0, 0, 0] for images, _ in data]) / 10


def test_batches_keep_order_values_and_labels(table):
    batches = list(pipeline.images(table, 16, 4))
    assert [len(labels) for _, labels in batches] == [4, 3]
    images = np.concatenate([images for images, _ in batches])
    assert images.shape == (7, 16, 16, 3) and images.dtype == np.float32
    np.testing.assert_array_equal(images[:, 5, 5, 0], 10 * np.arange(7))
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), table["sadness"])


def test_an_epochs_order_depends_on_seed_and_epoch_alone(table):
    first = pipeline.shuffled(7, 0, range(2))  # seed 0, epochs 0 and 1
    other = pipeline.shuffled(7, 1, range(1))  # seed 1, epoch 0
    found = [levels(pipeline.images(table, 16, 4, rows[None])) for rows in (*first, *other)]
    assert all(sorted(order) == list(range(7)) for order in found)
    assert len({tuple(order) for order in found}) == 3
    np.testing.assert_array_equal(pipeline.shuffled(7, 0, range(1, 2))[0], first[1])


def test_epochs_follow_each_other_without_sharing_a_batch(table):
    batches = [len(y) for _, y in pipeline.images(table, 16, 4, pipeline.shuffled(7, 0, range(3)))]
    assert batches == [4, 3] * 3


def test_shuffled_labels_stay_with_their_images(table):
    for images, labels in pipeline.images(table, 16, 3, pipeline.shuffled(7, 3, range(2))):
        np.testing.assert_array_equal(images.numpy()[:, 0, 0, 0] / 10 % 2, labels)


def test_arrays_give_rows_and_labels_together():
    inputs = [
        np.arange(6, dtype=np.float16)[:, None],
        np.arange(6)[:, None, None] * np.ones((2, 3)),
    ]
    for (first, second), labels in pipeline.arrays(
        inputs, np.arange(6), 4, pipeline.shuffled(6, 0, range(2))
    ):
        assert first.dtype == np.float32 and second.shape[1:] == (2, 3)
        np.testing.assert_array_equal(first[:, 0], labels)
        np.testing.assert_array_equal(second[:, 1, 2], labels)


def test_randaugment_changes_every_image_within_range_and_without_it_nothing(table):
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (8, 32, 32, 3)).astype("float32")
    augmented = np.asarray(pipeline.rand_augment(3, 7)(batch, training=True))
    assert augmented.shape == batch.shape
    assert augmented.min() >= 0 and augmented.max() <= 255
    assert (np.abs(augmented - batch).mean(axis=(1, 2, 3)) > 1).sum() >= 7
    (plain, _), *_ = pipeline.images(table, 16, 7)
    (changed, _), *_ = pipeline.images(table, 16, 7, augment=(3, 7))
    assert not np.allclose(np.sort(plain, axis=0), np.sort(changed, axis=0))


def test_randaugment_draws_from_the_operations_stated():
    """Ten of keras-cv's; with the four it lacks they are the fourteen of RandAugment's paper."""
    layers = [type(layer).__name__ for layer in pipeline.rand_augment(3, 7).layers]
    kinds = {
        "AutoContrast": ["auto-contrast"], "Equalization": ["equalize"],
        "Solarization": ["solarize"], "RandomColorDegeneration": ["color"],
        "RandomContrast": ["contrast"], "RandomBrightness": ["brightness"],
        "RandomShear": ["shear-x", "shear-y"], "RandomTranslation": ["translate-x", "translate-y"],
    }  # fmt: skip
    assert [name for kind in dict.fromkeys(layers) for name in kinds[kind]] == [
        *pipeline.OPERATIONS
    ]
    assert len(layers) == 10
    assert len({*pipeline.OPERATIONS, *pipeline.LACKING}) == 14


@pytest.mark.parametrize(("n", "m"), [(0, 7), (3, -1), (3, 11)])
def test_randaugment_refuses_what_it_cannot_do(n, m):
    with pytest.raises(ValueError, match="RandAugment needs N of 1 or more and M from 0 to 10"):
        pipeline.rand_augment(n, m)

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gramnb import cli, features
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.images import read_image

BACKBONE = "EfficientNetLite0"
TAPS = ("block2b_project_conv", "block3b_project_conv")
BOTH = (features.POOLED, TAPS[1])


@pytest.fixture(scope="module")
def table(demo_manifest):
    return manifests.kept(manifests.read(demo_manifest)).reset_index(drop=True)


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """Count the images that go through the backbone; nothing is known of them before."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "counted"))
    seen, images = [], features.images
    monkeypatch.setattr(
        features, "images", lambda part, *size: seen.append(len(part)) or images(part, *size)
    )
    return seen


def extracted(table, image_size, layers=BOTH):
    folders = features.compute(table, BACKBONE, image_size, layers=layers, progress=False)
    return [features.cached(folder, tuple(table["image_id"])) for folder in folders]


def test_features_are_the_backbones_outputs_each_computed_once(table, small, counted):
    """In the order of the table, with its repeats; a new layer costs one pass."""
    few = table.iloc[[4, 2, 9, 2]]
    pooled, maps = extracted(few, 40)
    assert sum(counted) == 3
    images = np.stack([read_image(path, 40) for path in few["path"]]).astype("float32")
    top, tap = small(BACKBONE, 40)(images)
    np.testing.assert_allclose(pooled, np.mean(top, axis=(1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(maps, tap, rtol=2e-3, atol=2e-3)
    assert maps.dtype == np.float16 and pooled.dtype == np.float32
    np.testing.assert_array_equal(pooled[1], pooled[3])
    more = extracted(table.iloc[[9, 5, 4]], 40)
    assert sum(counted) == 4
    np.testing.assert_array_equal(more[0][0], pooled[2])
    np.testing.assert_array_equal(more[1][2], maps[0])
    turned, new, again = extracted(few, 40, layers=(*TAPS[::-1], features.POOLED))
    assert sum(counted) == 7 and new.shape == (4, 10, 10, 24)
    np.testing.assert_array_equal(turned, maps)
    np.testing.assert_array_equal(again, pooled)


def test_an_interrupted_pass_goes_on_where_it_stopped(table, small, counted, monkeypatch):
    monkeypatch.setattr(features, "PASS", 4)
    write, left = np.save, iter([None] * 10)  # four pooled tops, four taps, two tops

    def interrupted(*arguments):
        if next(left, "stop") == "stop":
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(np, "save", interrupted)
        extracted(table.head(12), 44)
    counted.clear()
    resumed = extracted(table.head(12), 44)
    assert counted == [4, 4]
    top, tap = small(BACKBONE, 44)(np.stack([read_image(f, 44) for f in table["path"].head(12)]))
    np.testing.assert_allclose(resumed[0], np.mean(top, axis=(1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(resumed[1], tap, rtol=2e-3, atol=2e-3)


def test_shards_together_compute_what_one_pass_would(
    table, demo_manifest, small, counted, monkeypatch, tmp_path, capsys
):
    asked = ["features", str(demo_manifest), "--backbone", BACKBONE, "--image-size", "36"]
    for part in ("2/2", "1/2"):
        assert cli.main([*asked, "--shard", part]) == 0
        size = len(table) // 2 + (part == "1/2") * (len(table) % 2)
        assert capsys.readouterr().out == f"{size} images: {BACKBONE} at 36 px\n"
    shards = extracted(table, 36)
    assert sum(counted) == table["image_id"].nunique()
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path))
    for one, other in zip(shards, extracted(table, 36), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)
    assert cli.main([*asked, "--shard", "3/2"]) == 2
    assert "shard must be I/N, I from 1 to N, got 3/2" in capsys.readouterr().err


# Images and arrays in batches


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Seven one-coloured pictures; the red level is ten times the row number."""
    folder = tmp_path_factory.mktemp("colours")
    for row in range(7):
        Image.new("RGB", (20, 30), (10 * row, 100, 200)).save(folder / f"{row}.png")
    paths = [str(folder / f"{row}.png") for row in range(7)]
    return pd.DataFrame({"path": paths, "sadness": np.arange(7) % 2, "emotion": ""})


def test_epochs_have_orders_of_their_own_and_share_no_batch(colours):
    orders = features.shuffled(7, 3, range(3))
    np.testing.assert_array_equal(features.shuffled(7, 3, range(1, 2))[0], orders[1])
    assert len({tuple(each % 7) for each in (*orders, *features.shuffled(7, 4, range(1)))}) == 4
    batches = list(features.images(colours, 16, 4, orders))
    assert [len(labels) for _, labels in batches] == [4, 3] * 3
    assert batches[0][0].shape == (4, 16, 16, 3) and batches[0][0].dtype == np.float32
    rows = [images.numpy()[:, 0, 0, 0] / 10 for images, _ in batches]
    np.testing.assert_array_equal(np.concatenate(rows), orders.ravel() % 7)
    for row, (_, labels) in zip(rows, batches, strict=True):
        np.testing.assert_array_equal(row % 2, labels)


def test_cached_features_come_with_their_labels(colours):
    inputs = [np.arange(7, dtype=np.float16)[:, None], np.ones((7, 2, 3)) * np.c_[:7][:, :, None]]
    cached = features.Inputs(colours, TrainConfig(), inputs)
    for (first, second), labels in cached.batches(np.array([6, 1, 4, 0]), 3, epochs=range(2)):
        assert first.dtype == np.float32 and second.shape[1:] == (2, 3)
        np.testing.assert_array_equal(first[:, 0] % 2, labels)
        np.testing.assert_array_equal(second[:, 1, 2], first[:, 0])


def test_randaugment_follows_from_seed_and_key_and_stays_within_range():
    """Whatever else is drawn, in whatever batches; keras-cv's own layers start some at random."""
    batch = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("float32")
    changed = np.asarray(features.rand_augment(2, 7, seed=2**32 - 1)(batch))
    assert changed.shape == batch.shape and changed.min() >= 0 and changed.max() <= 255
    assert (np.abs(changed - batch).mean(axis=(1, 2, 3)) > 1).sum() >= 7
    again, keys = features.rand_augment(2, 7, seed=2**32 - 1), np.arange(8)
    some = [5, 0, 3, 1]
    np.testing.assert_array_equal(again(batch[some], keys[some]), changed[some])
    apart = np.asarray(again(batch[[0] * 4], keys[some]))
    assert len({image.tobytes() for image in apart}) == 4


def test_an_epoch_is_augmented_alike_however_many_went_before(colours):
    config = TrainConfig(backbone=BACKBONE, image_size=32, augment=(1, 5))
    inputs, rows = features.prepare_inputs(colours, config), np.array([6, 1, 4, 0])

    def drawn(epochs):
        return np.concatenate([images for images, _ in inputs.batches(rows, 3, epochs=epochs)])

    first, second = np.split(drawn(range(2)), 2)
    np.testing.assert_array_equal(second, drawn(range(1, 2)))
    in_order = [np.sort(images, axis=0) for images in (first, second, drawn(None))]
    assert not np.allclose(in_order[0], in_order[1])
    assert not np.allclose(in_order[0], in_order[2])

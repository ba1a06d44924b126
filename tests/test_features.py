from dataclasses import replace

import numpy as np
import pytest

from gramnb import features
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.images import read_image

BACKBONE = "EfficientNetLite0"
TAPS = ("block2b_project_conv", "block3b_project_conv")


@pytest.fixture(scope="module")
def table(demo_manifest):
    return manifests.kept(manifests.read(demo_manifest)).reset_index(drop=True)


@pytest.fixture
def counted(monkeypatch):
    """Count the images that go through the backbone."""
    seen = []
    forward = features._forward
    monkeypatch.setattr(features, "_forward", lambda m, part, s: seen.append(len(part))
                        or forward(m, part, s))  # fmt: skip
    return seen


def test_features_are_the_backbones_outputs(table):
    few = table.head(3)
    found = features.extract(few, BACKBONE, 48, progress=False)
    images = np.stack([read_image(path, 48) for path in few["path"]]).astype("float32")
    top, tap = features.build_backbone(BACKBONE, 48).predict_on_batch(images)
    np.testing.assert_allclose(found.pooled, top.mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.taps[0], tap, rtol=2e-3, atol=2e-3)
    assert found.taps[0].dtype == np.float16 and found.pooled.dtype == np.float32


def test_order_and_repeats_follow_the_table_and_nothing_is_computed_twice(table, counted):
    some = table.iloc[[4, 2, 9, 2]]
    first = features.extract(some, BACKBONE, 40, progress=False)
    assert sum(counted) == 3
    np.testing.assert_array_equal(first.pooled[1], first.pooled[3])
    more = features.extract(table.iloc[[9, 5, 4]], BACKBONE, 40, progress=False)
    assert sum(counted) == 4
    np.testing.assert_array_equal(more.pooled[0], first.pooled[2])
    np.testing.assert_array_equal(more.taps[0][2], first.taps[0][0])


def test_an_interrupted_pass_goes_on_where_it_stopped(table, counted, monkeypatch, tmp_path):
    monkeypatch.setattr(features, "SHARD", 4)
    many = table.head(12)
    write, left = features._write_shard, iter([None] * 3)  # a part writes its top, then its tap

    def interrupted(*arguments):
        if next(left, "stop") == "stop":
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(features, "_write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        features.extract(many, BACKBONE, 44, progress=False)
    monkeypatch.setattr(features, "_write_shard", write)
    counted.clear()
    resumed = features.extract(many, BACKBONE, 44, progress=False)
    assert counted == [4, 4]
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path))
    whole = features.extract(many, BACKBONE, 44, progress=False)
    np.testing.assert_array_equal(resumed.pooled, whole.pooled)
    np.testing.assert_array_equal(resumed.taps[0], whole.taps[0])


def test_layers_are_cached_each_on_its_own(table, counted):
    """Any set of layers reads what others have computed; a new one costs one pass."""
    few = table.head(6)
    bare = features.extract(few, BACKBONE, 36, taps=(), progress=False)
    assert bare.taps == () and bare.pooled.shape == (6, 1280)
    several = features.extract(few, BACKBONE, 36, taps=TAPS, progress=False)
    assert counted == [6, 6]
    assert [tap.shape for tap in several.taps] == [(6, 9, 9, 24), (6, 5, 5, 40)]
    alone = features.extract(few, BACKBONE, 36, taps=TAPS[1:], progress=False)
    turned = features.extract(few, BACKBONE, 36, taps=TAPS[::-1], progress=False)
    default = features.extract(few, BACKBONE, 36, progress=False)
    assert counted == [6, 6]
    np.testing.assert_array_equal(turned.taps[1], several.taps[0])
    for found in (alone, default):
        np.testing.assert_array_equal(found.taps[0], several.taps[1])
        np.testing.assert_array_equal(found.pooled, bare.pooled)


def test_a_baseline_reads_no_tap(table, counted, monkeypatch, tmp_path):
    """A frozen run of k = 0 computes and loads the pooled top alone."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path))
    config = TrainConfig(backbone=BACKBONE, k=0, image_size=32, frozen=True)
    (pooled,) = features.prepare_inputs(table.head(5), config, progress=False).arrays
    assert pooled.shape == (5, 1280) and counted == [5]
    assert [folder.name.split("-")[2] for folder in tmp_path.glob("features/*")] == ["pooled"]
    one = replace(config, k=1)
    assert len(features.prepare_inputs(table.head(5), one, progress=False).arrays) == 2
    assert counted == [5, 5]

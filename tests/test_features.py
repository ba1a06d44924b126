import numpy as np
import pytest

from gramnb import features
from gramnb.data import manifest as manifests
from gramnb.data.images import read_image

BACKBONE = "EfficientNetLite0"


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


def test_an_interrupted_pass_goes_on_where_it_stopped(table, counted, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 4)
    many = table.head(12)
    write, left = features._write_shard, iter([None, None])

    def interrupted(*arguments):
        if next(left, "stop") == "stop":
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(features, "_write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        features.extract(many, BACKBONE, 44, progress=False)
    monkeypatch.setattr(features, "_write_shard", write)
    counted.clear()
    features.extract(many, BACKBONE, 44, progress=False)
    assert sum(counted) == 4

"""Whatever is wrong with the input: one line that says what, before any long work begins."""

import numpy as np
import pytest
from PIL import Image

from gramnb.config import TrainConfig
from gramnb.data import curation
from gramnb.data import manifest as manifests
from gramnb.training import train


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of class folders, twelve different pictures in each of two and two in a third."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, count in {"happy": 12, "sad": 12, "rare": 2}.items():
        (folder / name).mkdir()
        for n in range(count):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{n}.png")
    return folder


def recipe(root, sadness):
    return curation.Recipe(source="folder", root=str(root), sadness=sadness, text_threshold=None)


@pytest.mark.parametrize(
    ("folder", "sadness", "message"),
    [
        ("sad", "sad", "no pictures in class folders"),
        ("gone", "sad", "gone: no such folder"),
        ("", "gloomy", "no class is named gloomy; the classes are: happy, rare, sad"),
        ("", "happy,sad,rare", "would hold no others"),
        ("", "rare", "would hold no sadness: 2 images"),
    ],
)
def test_a_folder_that_cannot_be_curated(photos, tmp_path, folder, sadness, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        curation.curate(tmp_path / "m.parquet", recipe(photos / folder, sadness), progress=False)
    assert "\n" not in str(error.value) and not (tmp_path / "m.parquet").exists()


@pytest.mark.parametrize(
    ("break_it", "change", "message"),
    [
        (lambda file, table: file.unlink(), {}, "m.parquet: no such manifest"),
        (lambda file, table: file.write_text("row,path"), {}, "m.parquet: not a manifest"),
        (lambda file, table: manifests.write(table.replace({"split": {"val": "train"}}), file, {}),
         {}, "split 'val' holds no image"),
        (lambda file, table: None, {"taps": ("block3z",)}, "block3z.*the last of each stage"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_trained(photos, tmp_path, break_it, change, message):
    file = tmp_path / "m.parquet"
    break_it(file, curation.curate(file, recipe(photos, "sad"), progress=False))
    size = {"k": 1, "image_size": 32, "frozen": True, "backbone": "EfficientNetLite0"}
    config = TrainConfig(manifest=str(file), **size, **change)
    with pytest.raises((ValueError, OSError), match=message) as error:
        train(config, tmp_path / "runs", progress=False)
    assert "\n" not in str(error.value) and not list(tmp_path.glob("runs/*/metrics.json"))

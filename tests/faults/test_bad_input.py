"""Whatever is wrong with the input: one line that says what, before any long work begins."""

import numpy as np
import pytest
from PIL import Image

from gramnb.config import TrainConfig
from gramnb.data import curation
from gramnb.data import manifest as manifests
from gramnb.models import build_classifier
from gramnb.runs import Run
from gramnb.training import train


@pytest.fixture
def photos(tmp_path):
    """A folder of class folders, twelve different pictures in each of two."""
    rng = np.random.default_rng(0)
    for name in ("happy", "sad"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(12):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{n}.png")
    return tmp_path / "photos"


def recipe(root, **changes):
    return curation.Recipe(source="folder", root=str(root), text_threshold=None, **changes)


def one_line(error):
    message = str(error.value)
    assert "\n" not in message and len(message) > 20, message
    return message


def test_a_folder_without_class_folders(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="class") as error:
        curation.curate(tmp_path / "m.parquet", recipe(tmp_path, sadness="sad"), progress=False)
    one_line(error)
    assert not (tmp_path / "m.parquet").exists()


def test_no_folder_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder") as error:
        curation.curate(tmp_path / "m.parquet", recipe(tmp_path / "gone"), progress=False)
    one_line(error)


def test_names_of_sadness_that_match_no_folder(photos, tmp_path):
    with pytest.raises(
        ValueError, match="no class is named gloomy; the classes are: happy, sad"
    ) as e:
        curation.curate(tmp_path / "m.parquet", recipe(photos, sadness="gloomy"), progress=False)
    one_line(e)


def test_one_class_only(photos, tmp_path):
    with pytest.raises(ValueError, match="would hold no others") as error:
        curation.curate(tmp_path / "m.parquet", recipe(photos, sadness="happy,sad"), progress=False)
    one_line(error)


def test_too_few_images_for_a_split(photos, tmp_path):
    for file in sorted((photos / "sad").iterdir())[2:]:
        file.unlink()
    with pytest.raises(ValueError, match="would hold no sadness: 2 images") as error:
        curation.curate(tmp_path / "m.parquet", recipe(photos, sadness="sad"), progress=False)
    one_line(error)


@pytest.fixture
def config(photos, tmp_path):
    curation.curate(tmp_path / "m.parquet", recipe(photos, sadness="sad"), progress=False)
    return TrainConfig(manifest=str(tmp_path / "m.parquet"), k=1, image_size=32, frozen=True,
                       backbone="EfficientNetLite0")  # fmt: skip


def test_no_manifest(config, tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.parquet: no such manifest") as error:
        train(config.replace(manifest=str(tmp_path / "gone.parquet")), tmp_path / "runs")
    one_line(error)
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_manifest(config, tmp_path):
    (tmp_path / "m.parquet").write_text("row,path\n")
    with pytest.raises(ValueError, match="m.parquet: not a manifest") as error:
        train(config, tmp_path / "runs")
    one_line(error)


def test_an_empty_split(config, tmp_path):
    table = manifests.read(config.manifest)
    manifests.write(table.assign(split=table["split"].replace("val", "train")),
                    config.manifest, {})  # fmt: skip
    with pytest.raises(ValueError, match="split 'val' holds no image") as error:
        train(config, tmp_path / "runs")
    one_line(error)
    assert not (tmp_path / "runs").exists()


def test_a_tap_that_the_backbone_does_not_have(config, tmp_path):
    with pytest.raises(ValueError, match="block3z.*the last of each stage are block1") as error:
        train(config.replace(taps=("block3z",)), tmp_path / "runs", progress=False)
    one_line(error)


def test_an_unknown_backbone():
    with pytest.raises(ValueError, match="backbone must be one of EfficientNetV2B0") as error:
        build_classifier("VGG16", 4, 64)
    one_line(error)


def test_a_run_directory_of_another_configuration(config, tmp_path):
    run = train(config.replace(epochs=1, k=0), tmp_path / "runs", progress=False)
    settings = (run.path / "config.json").read_text()
    (run.path / "config.json").write_text(settings.replace('"epochs": 1', '"epochs": 2'))
    with pytest.raises(ValueError, match="holds another configuration") as error:
        train(config.replace(epochs=1, k=0), tmp_path / "runs", progress=False)
    one_line(error)


def test_a_half_written_run_is_no_run(config, tmp_path):
    run = train(config.replace(epochs=1, k=0), tmp_path / "runs", progress=False)
    (run.path / "metrics.json").unlink()
    assert not Run(run.path).complete
    again = train(config.replace(epochs=1, k=0), tmp_path / "runs", progress=False)
    assert again.complete and again.metrics["test"]["n"] == len(again.predictions.query(
        "split == 'test'"))  # fmt: skip

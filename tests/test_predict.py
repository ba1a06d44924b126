import json
import shutil

import numpy as np
import pytest

from gramnb import cli
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.predict import SadnessClassifier, find_images, transfer
from gramnb.training import train


@pytest.fixture(scope="module")
def run(demo_manifest, tmp_path_factory):
    config = TrainConfig(str(demo_manifest), k=1, backbone="EfficientNetLite0", image_size=48,
                         epochs=1, frozen=True, optimizer="adam")  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs"), progress=False)


@pytest.fixture(scope="module")
def photos(demo_manifest, tmp_path_factory):
    """Two good pictures, one in a subfolder; a web page named .jpg; an empty file."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "album").mkdir()
    good = manifests.kept(manifests.read(demo_manifest))["path"]
    shutil.copy(good.iloc[0], folder / "a.jpg")
    shutil.copy(good.iloc[1], folder / "album" / "b.jpg")
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "void.png").touch()
    (folder / "notes.txt").write_text("not asked about")
    return folder


def test_good_files_get_a_probability_and_bad_ones_a_reason(run, photos):
    table = SadnessClassifier.load(run.path).predict([photos], progress=False)
    assert [file.removeprefix(f"{photos}/") for file in table["file"]] == [
        "a.jpg", "album/b.jpg", "page.jpg", "void.png",
    ]  # fmt: skip
    assert table["p_sadness"].notna().tolist() == [True, True, False, False]
    assert table["problem"].tolist() == ["", "", "not an image", "empty file"]
    expected = np.where(table["p_sadness"][:2] > 0.5, "sadness", "others")
    assert table["conveys"].tolist() == [*expected, "", ""]


def test_batches_do_not_change_the_answer(run, photos):
    classifier = SadnessClassifier.load(run.path)
    one = classifier.predict([photos], batch_size=1, progress=False)["p_sadness"]
    all_ = classifier.predict([photos], batch_size=8, progress=False)["p_sadness"]
    np.testing.assert_allclose(one, all_, atol=1e-5)


def test_paths_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jpg: no such file or folder"):
        find_images([tmp_path / "nowhere.jpg"])
    with pytest.raises(FileNotFoundError, match="no image in it"):
        find_images([tmp_path])


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run there"):
        SadnessClassifier.load(tmp_path)


def test_transfer_predicts_every_kept_row_and_stays_with_the_run(run, demo_manifest):
    predicted = transfer(run, demo_manifest, "again", progress=False)
    kept = manifests.kept(manifests.read(demo_manifest))
    assert predicted["image_id"].tolist() == kept["image_id"].tolist()
    own = run.predictions.query("dataset == 'own' and split == 'test'").set_index("image_id")
    again = run.predictions.query("dataset == 'again'").set_index("image_id").loc[own.index]
    np.testing.assert_allclose(own["p_sadness"], again["p_sadness"], atol=1e-5)


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_the_command_prints_all_and_its_exit_code_tells_of_bad_files(run, photos, capfd, form):
    code = cli.main(["predict", str(photos), "--model", str(run.path), "--format", form])
    out, err = capfd.readouterr()
    assert code == 1
    assert "page.jpg: not an image" in err and "void.png: empty file" in err
    assert "Traceback" not in err
    if form == "json":
        rows = json.loads(out)
        assert len(rows) == 4 and rows[2]["p_sadness"] is None and 0 <= rows[0]["p_sadness"] <= 1
    else:
        assert len(out.strip().splitlines()) == 5


def test_the_command_is_silent_about_its_libraries_and_exits_0(run, photos, python):
    script = "import sys; from gramnb.cli import main; sys.exit(main(sys.argv[1:]))"
    out = python(script + "", "predict", photos / "a.jpg", "--model", run.path)
    assert out.splitlines()[0].split() == ["file", "p(sadness)", "conveys"]
    assert len(out.splitlines()) == 2


def test_a_wrong_model_is_one_line(tmp_path, photos, capsys):
    assert cli.main(["predict", str(photos), "--model", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gramnb predict: ") and "no finished run there" in line

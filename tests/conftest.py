"""What several test modules share: a small drawn data set, curated once a session."""

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gramnb.data import curation

ROOT = Path(__file__).parents[1]
FIRST = (  # chapter 1 curates what other notebooks read; then what takes longest
    "01_data_curation", "test_webemo_profile", "test_study", "test_training", "03_training",
    "test_browser", "02_gram_module", "test_own_folder", "06_artwork_case_study",
    "studies", "test_results", "test_jax_backend", "test_explain",
)  # fmt: skip
if "TESTS_FOLDER" not in os.environ:  # pytest's first process; those it starts share the folder
    MADE = TemporaryDirectory(prefix="gramnb-tests-")
    os.environ["TESTS_FOLDER"] = MADE.name
SHARED = Path(os.environ["TESTS_FOLDER"])


@contextmanager
def one_at_a_time():
    """Let one process make what all read; the others find it made."""
    with open(SHARED / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest, so that no process is left with one at the end."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Keep what tests compute out of the checkout's cache, and what make was given out of them.

    Notebooks tested beside them take the checkout's cache, as their readers do.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GRAMNB_")]:
            patch.delenv(name)
        if item.path.suffix == ".py":
            patch.setenv("GRAMNB_CACHE", str(SHARED / "cache"))
        return (yield)


@pytest.fixture(scope="session")
def demo_manifest():
    """A manifest of 90 drawn images with splits, curated without the text filter."""
    images = str(SHARED / "images")
    recipe = curation.Recipe(root=images, count=90, text_threshold=None, sadness_share=None)
    with one_at_a_time():
        curation.curate(SHARED / "manifest.parquet", recipe, progress=False)
    return SHARED / "manifest.parquet"


@pytest.fixture(scope="session")
def config(demo_manifest):
    """A small frozen run on the drawn images."""
    from gramnb import TrainConfig

    return TrainConfig(
        manifest=str(demo_manifest), backbone="EfficientNetLite0", k=1, image_size=48, epochs=3,
        batch_size=16, optimizer="adam", learning_rate=0.001, frozen=True, head={"momentum": 0.5},
    )  # fmt: skip


@pytest.fixture(scope="session")
def run(config):
    """That run, trained; tests leave it as it is."""
    from gramnb import train

    with one_at_a_time():
        return train(config, SHARED / "runs", progress=False)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A backbone of three convolutions, under Lite0's name: it is quick to build and to trace."""
    from gramnb import features, models, training
    from gramnb._keras import keras

    def build(name, image_size, weights=None, taps=None):
        image = keras.Input((image_size, image_size, 3))
        x = keras.layers.Rescaling(1 / 255)(image)
        for block, width, stride in (("block2b", 24, 4), ("block3b", 40, 2), ("top", 64, 4)):
            start, conv = keras.initializers.GlorotUniform(seed=width), f"{block}_project_conv"
            x = keras.layers.Conv2D(width, 1, stride, kernel_initializer=start, name=conv)(x)
            x = keras.layers.BatchNormalization(momentum=0.5, name=f"{block}_project_bn")(x)
        whole = keras.Model(image, x)
        tapped = ("block3b_project_conv",) if taps is None else taps
        maps = [whole.get_layer(layer).output for layer in tapped]
        return keras.Model(image, [x, *maps], name="backbone")

    for room in (features, models, training):
        monkeypatch.setattr(room, "build_backbone", build)
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "small"))
    return build


@pytest.fixture
def python():
    """Run a script in a fresh interpreter and return its standard output."""

    def run(script, *arguments):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def checkout(folder, *more):
    """Make a project of its own of a folder, by links to what runs and books are made from."""
    for name in ("Snakefile", "studies", "notebooks", "book", "_config.yml", "_toc.yml", *more):
        (folder / name).symlink_to(ROOT / name)


def snakemake(folder, *arguments, **environment):
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "2", "--quiet", "all"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=folder,
                          env=environment, timeout=900)  # fmt: skip

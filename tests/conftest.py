"""What several test modules share: a small drawn data set, curated once a session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gramnb.data import curation

ROOT = Path(__file__).parents[1]
LONGEST = ("webemo_profile", "study", "training", "own_folder", "notebooks", "results", "explain")


def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest, so that no process is left with one at the end."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session")
def demo_manifest(tmp_path_factory):
    """A manifest of 90 drawn images with splits, curated without the text filter."""
    folder = tmp_path_factory.mktemp("demo")
    recipe = curation.Recipe(
        root=str(folder / "images"), count=90, text_threshold=None, sadness_share=None
    )
    curation.curate(folder / "manifest.parquet", recipe, progress=False)
    return folder / "manifest.parquet"


@pytest.fixture(scope="session")
def config(demo_manifest):
    """A small frozen run on the drawn images."""
    from gramnb import TrainConfig

    return TrainConfig(
        manifest=str(demo_manifest), backbone="EfficientNetLite0", k=1, image_size=48, epochs=3,
        batch_size=16, optimizer="adam", learning_rate=0.001, frozen=True, head={"momentum": 0.5},
    )  # fmt: skip


@pytest.fixture(scope="session")
def run(config, tmp_path_factory):
    """That run, trained; tests leave it as it is."""
    from gramnb import train

    return train(config, tmp_path_factory.mktemp("runs"), progress=False)


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory):
    """Keep what tests compute out of the checkout's cache, and what make was given out of them."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("GRAMNB_")]:
        patch.delenv(name)
    cache = tmp_path_factory.mktemp("cache")
    patch.setenv("GRAMNB_CACHE", str(cache))
    yield cache
    patch.undo()


@pytest.fixture
def python():
    """Run a script in a fresh interpreter and return its standard output."""

    def run(script, *arguments, timeout=300):
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run

"""The paper's own run on drawn stand-ins, laid out as its three data sets are published."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from shutil import copy

import pytest
import yaml
from conftest import checkout, snakemake

from gramnb import paper, runs
from gramnb.data import demo, manifest
from gramnb.data.fetch import fetch
from gramnb.data.lists import CATEGORIES

LABELS = {"anger": 17, "fear": 10, "joy": 1, "love": 0, "sadness": 21, "surprise": 22}
SMALL = {
    "k": [2],
    "seeds": [0],
    "base": {"backbone": "EfficientNetLite0", "weights": "none", "image_size": 32, "epochs": 1,
             "global_batch": 16, "augment": [1, 7]},
    "01_data_curation": {"source": "webemo", "text_threshold": None},  # text is slow to read
    "05_transfer": {"k": 2},
    "rows": {"zhang": {"epochs": 1}},
}  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def webemo(folder, pictures):
    """Lists of addresses, the images fetched from a server on this machine."""
    folder.mkdir()
    handler = partial(Quiet, directory=str(pictures))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        found = sorted(pictures.glob("*/*.jpg"))
        lines = [f"{host}/{f.parent.name}/{f.name} {LABELS[f.parent.name]}\n" for f in found]
        lists = {"train25.txt": lines[::2], "test25.txt": lines[1::2]}
        for name, own in lists.items():
            (folder / name).write_text("".join(own))
        fetch([folder / name for name in lists], folder, progress=False)
        server.shutdown()


def tree(folder, pictures, levels):
    """`<emotion>/<levels>/<file>`, as the two other sets are shipped."""
    for file in sorted(pictures.glob("*/*.jpg")):
        into = folder / "images" / file.parent.name / levels
        into.mkdir(parents=True, exist_ok=True)
        copy(file, into)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """What Snakemake makes of the profile, in a checkout of its own."""
    root = tmp_path_factory.mktemp("check out")
    checkout(root, "pyproject.toml", "src", "profiles", "results")
    data = root / "data"
    drawn = {
        name: demo.draw_dataset(data / name, name, count=count, progress=False)
        for name, count in (("demo", 72), ("demo-unbiased", 24), ("demo-emotion6", 24))
    }
    webemo(data / "webemo", drawn["demo"])
    tree(data / "UnBiasedEmo", drawn["demo-unbiased"], "dog")
    tree(data / "Emotion-6", drawn["demo-emotion6"], "level 2/level 3")
    (root / "small.yaml").write_text(yaml.safe_dump(SMALL))
    done = snakemake(
        root, "--force-use-threads", "--configfile", "profiles/webemo.yaml", "small.yaml",
        "--config", "profile=webemo", "parts=1", f"data={data / 'webemo'}",
        f"transfer={data / 'UnBiasedEmo'},{data / 'Emotion-6'}", "--",
        "runs/webemo/notebooks/05_transfer.ipynb",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return root / "runs" / "webemo"


def test_the_papers_run_answers_all_three_sets_with_every_row(reproduced):
    answers = runs.predictions(reproduced).query("split == 'test'")
    assert set(answers["dataset"]) >= {"own", "UnBiasedEmo", "Emotion-6"}
    rows = {"k = 2, fine-tuned", "multilevel, fine-tuned"}
    assert (answers.groupby("dataset")["variant"].agg(set) == rows).all()
    own = manifest.kept(manifest.read(reproduced / "manifest.parquet"))
    assert set(own["source"]) == {"webemo"} and set(own["label"]) <= set(CATEGORIES["name"])
    assert set(answers["n_train"]) == {(own["split"] == "train").sum()}
    for run in runs.list_runs(reproduced):
        settings = [run.config[name] for name in ("global_batch", "learning_rate", "augment")]
        assert settings == [16, 0.004, [1, 7]]
        assert run.config["optimizer"] == "adagrad" and run.config["weights"] == "none"


def test_chapter_5_shows_both_reports_beside_the_papers(reproduced):
    text = (reproduced / "notebooks" / "05_transfer.ipynb").read_text()
    for name, table in (("UnBiasedEmo", paper.table5()), ("Emotion-6", paper.table6())):
        assert f"{name}, k = 2, fine-tuned" in text
        for support in table["Support"]:
            assert f"<td>{support}</td>" in text

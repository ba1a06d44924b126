"""Measure how time and memory of training grow with images, modules and image size.

    python benchmarks/growth.py [--record]

One thing at a time is made two and four times as large. Each setting trains EfficientNetLite0
whole, on drawn images, from random weights, in a process of its own, so that its peak of memory is
its own. An epoch's seconds are those of the second, when everything is compiled. --record keeps
the table and draws the figure of the book's page about scale.
"""

import argparse
import multiprocessing
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor

import pandas as pd

from gramnb import runs

BASE = {"images": 160, "k": 4, "image_size": 64}
MANIFEST = "runs/cache/growth/manifest.parquet"
TABLE, DRAWING = "results/benchmarks/growth.csv", "book/images/growth.svg"
LABELS = {"images": "training images", "k": "modules $k$", "image_size": "side of an image, px"}


def measure(images: int, k: int, image_size: int) -> dict[str, float]:
    """Train two epochs and return seconds of the second, and the process's peak memory in MiB."""
    from gramnb import TrainConfig, curate, train
    from gramnb.data.curation import Recipe

    table = curate(MANIFEST, Recipe(text_threshold=None), False)
    kept = (table["split"] == "train").sum()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            manifest=MANIFEST, backbone="EfficientNetLite0", weights="none", k=k,
            image_size=image_size, epochs=2, batch_size=16, augment=None, train_share=images / kept,
        )  # fmt: skip
        history = train(config, folder, progress=False).history
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": float(history["seconds"].iloc[-1]), "memory": peak}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    rows = []
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, max_tasks_per_child=1) as process:
        for name, base in BASE.items():
            for times in (1, 2, 4):
                settings = BASE | {name: base * times}
                found = process.submit(measure, **settings).result()
                rows.append({"grows": name, **settings, **found})
                print(rows[-1], flush=True)
    if given.record:
        table = pd.DataFrame(rows)
        with runs.atomic(runs.resolve(TABLE)) as temporary:
            table.to_csv(temporary, index=False, float_format="%.2f")
        draw(table)


def draw(table: pd.DataFrame) -> None:
    """Draw seconds above, memory below, a column for what grows."""
    from gramnb import plots
    from gramnb.plots.style import INK, book_style, new

    @book_style
    def growth():
        """Time of an epoch and peak memory against images, modules and image size."""
        figure, axes = new(3.6, 2, len(BASE), sharex="col", sharey="row")
        for column, (name, part) in zip(axes.T, table.groupby("grows", sort=False), strict=True):
            for axis, of in zip(column, ("seconds", "memory"), strict=True):
                axis.plot(part[name], part[of], "o-", color=INK)
                axis.set_ylim(0, 1.1 * table[of].max())
            column[1].set_xticks(part[name])
            column[1].set_xlabel(LABELS[name])
        axes[0, 0].set_ylabel("seconds an epoch")
        axes[1, 0].set_ylabel("peak memory, MiB")
        return figure

    plots.save_svg(growth(), DRAWING, "benchmarks/growth.py")


if __name__ == "__main__":
    main()

"""Time `predict` on photographs beside its network alone, in turns, in one process.

    python benchmarks/predict.py FOLDER [--images 1000] [--rounds 3]

The network alone answers the same pictures, decoded before. Ratios are the point: what of the
network's own rate is left when files are read. The peak of memory is the whole process's.
"""

import argparse
import resource
import time

import numpy as np

began = time.perf_counter()

from gramnb.data.images import read_image  # noqa: E402
from gramnb.predict import BATCH, SadnessClassifier, ask, find_images  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    classifier = SadnessClassifier.load()
    files = find_images([given.folder])[::3][: given.images]
    classifier.predict(files[:1], progress=False)
    print(f"first answer after {time.perf_counter() - began:.1f} s")
    classifier.predict(files[:BATCH], progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = [read_image(file, classifier.image_size) for file in files]
    seconds = {"network": [], "predict": []}
    for _ in range(given.rounds):
        start = time.perf_counter()
        for n in range(0, len(images), BATCH):
            ask(classifier.network, np.stack(images[n : n + BATCH]))
        seconds["network"].append(time.perf_counter() - start)
        start = time.perf_counter()
        classifier.predict(files, progress=False)
        seconds["predict"].append(time.perf_counter() - start)
    for name, each in seconds.items():
        print(f"{name}: {len(files) / np.median(each):.0f} images/s (median of {len(each)})")
    ratios = np.divide(seconds["network"], seconds["predict"])
    print("predict at", ", ".join(f"{ratio:.0%}" for ratio in ratios), "of the network's rate")
    print(f"peak memory with one batch: {peak / 1e3:.0f} MB")


if __name__ == "__main__":
    main()

"""Time `predict` on photographs beside its network alone, in turns, in one process.

    python benchmarks/predict.py [FOLDER] [--images 1000] [--rounds 3]

The network alone answers the same pictures, decoded before, as `predict` asks it: one a thread. The
ratio is the point: what of the network's own rate is left when files are read. The peak of memory
is the whole process's; without a folder the drawn demo images are read.
"""

import argparse
import os
import resource
import time
from multiprocessing.pool import ThreadPool

import numpy as np

began = time.perf_counter()


def said() -> str:
    """Return the seconds since the start, and the most memory that was taken."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"after {time.perf_counter() - began:.1f} s, peak memory {peak:.0f} MiB"


from gramnb.data.images import read_image  # noqa: E402
from gramnb.data.sources import read  # noqa: E402
from gramnb.predict import SadnessClassifier, find_images  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    classifier = SadnessClassifier.load()
    files = [given.folder] if given.folder else read("demo", count=given.images)["path"]
    files = find_images(files)[::3][: given.images]
    classifier.predict(files[:1], progress=False)
    print("the first answer is there", said())
    images = [read_image(file, classifier.image_size) for file in files]
    seconds = {"network": [], "predict": []}
    for _ in range(given.rounds):
        start = time.perf_counter()
        with ThreadPool(os.cpu_count()) as pool:
            pool.map(lambda image: classifier.answer(image[None]), images)
        seconds["network"].append(time.perf_counter() - start)
        start = time.perf_counter()
        classifier.predict(files, progress=False)
        seconds["predict"].append(time.perf_counter() - start)
    for name, each in seconds.items():
        print(f"{name}: {len(files) / np.median(each):.0f} images/s (median of {len(each)})")
    ratios = np.divide(seconds["network"], seconds["predict"])
    print("predict at", ", ".join(f"{ratio:.0%}" for ratio in ratios), "of the network's rate")


if __name__ == "__main__":
    main()

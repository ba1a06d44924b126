"""Time `predict` on photographs beside its network alone, in turns, in one process.

    python benchmarks/predict.py [FOLDER]

The network alone answers the same pictures, decoded before, in three ways: as `predict` asks it,
one picture a thread; and as ONNX Runtime works by itself, all threads on one picture or on 32. The
ratios are the point: what of the network's own rate is left when files are read. The peak of memory
is the whole process's; without a folder the drawn demo images are read.
"""

import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

IMAGES, ROUNDS = 1000, 3
PAUSE = 0.1  # seconds; threads of ONNX Runtime turn idle for a while and would slow who comes next
began = time.perf_counter()


def said() -> str:
    """Return the seconds since the start, and the most memory that was taken."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"after {time.perf_counter() - began:.1f} s, peak memory {peak:.0f} MiB"


from gramnb import shipped  # noqa: E402
from gramnb.data.images import read_image  # noqa: E402
from gramnb.data.sources import read  # noqa: E402
from gramnb.predict import SadnessClassifier, find_images  # noqa: E402


def ways(classifier, session, files, images) -> dict:
    """Return by name what is timed, each a call that answers these images."""

    def in_batches(size):
        for start in range(0, len(images), size):
            session.run(None, {"image": np.asarray(images[start : start + size], np.float32)})

    def one_a_thread():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda image: classifier.answer(image[None]), images))

    return {
        "predict": lambda: classifier.predict(files, progress=False),
        "network, one picture a thread": one_a_thread,
        "network, all threads on one picture": lambda: in_batches(1),
        "network, all threads on 32 pictures": lambda: in_batches(32),
    }


def main() -> None:
    classifier = SadnessClassifier.load()
    files = sys.argv[1:] or read("demo", count=IMAGES)["path"]
    files = find_images(files)[::3][:IMAGES]
    classifier.predict(files[:1], progress=False)
    print("the first answer is there", said())
    images = [read_image(file, classifier.image_size) for file in files]
    session = onnxruntime.InferenceSession(shipped.content(shipped.MODELS[0], "onnx"))
    for count in [few for few in (4, 16, 64) if few < len(files)] + [len(files)]:
        asked = ways(classifier, session, files[:count], images[:count])
        seconds = {way: [] for way in asked}
        for _ in range(ROUNDS * max(1, 64 // count)):
            for way, run in asked.items():
                time.sleep(PAUSE)
                start = time.perf_counter()
                run()
                seconds[way].append(time.perf_counter() - start)
        print(f"{count} images")
        for way, each in seconds.items():
            ratio = np.median(np.divide(each, seconds["predict"]))
            print(f"  {way}: {count / np.median(each):.0f} a second; predict at {ratio:.0%} of it")
    print("all is done", said())


if __name__ == "__main__":
    main()

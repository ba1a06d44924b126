"""Time a bank beside the k separate modules it holds, and a training step beside the baseline's.

    python benchmarks/bank.py [--rounds 20] [--batch 4] [--processor] [--record]

First, forward and backward pass on a 32 x 32 x 56 tap, batch 16, float32, both with the same
weights; then a whole training step of EfficientNetV2B2 at 256 px with random weights, without
modules, with four, and with the variant of chapter 4 (the means of three taps). What is
compared is compiled as `fit` compiles it and runs in turns, round after round, so that a busy
machine slows both alike. Medians over rounds; a ratio is taken within each round, and its quartiles
stand in brackets. On a machine that others use, --processor counts the seconds processors worked
instead of those that passed; --record keeps the tables in results/benchmarks, from where chapter 2
takes them.
Aims: the bank at least 1.3 times faster at k = 4; a step with k = 4 within 5 % of the baseline's.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

from gramnb._keras import keras, quiet
from gramnb.backbones import build_backbone, stage_taps
from gramnb.layers import GramBank, GramModule
from gramnb.models import HeadOptions, build_classifier
from gramnb.runs import atomic, resolve

TAP, BATCH = (32, 32, 56), 16


def in_turns(
    tasks: dict[str, Callable], rounds: int, processor: bool = False, repeats: int = 1
) -> pd.DataFrame:
    """Return seconds a call: a row for each round, a column for each task.

    Each round calls every task `repeats` times, every other round in reverse order; two rounds
    before the first are not counted.
    """
    clock = time.process_time if processor else time.perf_counter
    rows = []
    for number in range(-2, rounds):
        row = {}
        for name in list(tasks)[:: 1 if number % 2 else -1]:
            began = clock()
            for _ in range(repeats):
                tasks[name]()
            row[name] = (clock() - began) / repeats
        rows.append(row)
    return pd.DataFrame(rows[2:], columns=list(tasks))


def compared(seconds: pd.DataFrame, reference: str, other: str) -> dict[str, str | float]:
    """Return medians in milliseconds and the ratio other / reference with its quartiles."""
    low, ratio, high = (seconds[other] / seconds[reference]).quantile([0.25, 0.5, 0.75])
    milliseconds = 1000 * seconds.median()
    return {
        "timed": other,
        "against": reference,
        "timed, ms": milliseconds[other],
        "against, ms": milliseconds[reference],
        "ratio": ratio,
        "low": low,
        "high": high,
    }


def passes(layers: list[keras.Layer], width: int) -> Callable:
    """Return a compiled function: forward and backward through layers that read the same tap."""
    random = np.random.default_rng(0)
    features = tf.Variable(random.normal(size=(BATCH, *TAP)).astype("float32"))
    weights = [weight.value for layer in layers for weight in layer.trainable_weights]
    towards = tf.constant(random.normal(size=(BATCH, width)).astype("float32"))

    @tf.function(jit_compile=bool(tf.config.list_physical_devices("GPU")))
    def run():
        with tf.GradientTape() as tape:
            outputs = [layer(features, training=True) for layer in layers]
            loss = tf.reduce_sum(tf.concat(outputs, axis=-1) * towards)
        return tape.gradient(loss, [features, *weights])

    return run


def bank_and_modules(k: int, rounds: int, processor: bool) -> dict[str, str | float]:
    """Compare k modules with the bank that holds them."""
    modules = [GramModule() for _ in range(k)]
    for module in modules:
        module.build((None, *TAP))
    width = k * TAP[-1]
    names = f"bank, k = {k}", f"{k} separate modules" if k > 1 else "a module"
    parts = [GramBank.from_modules(modules)], modules
    tasks = {name: passes(part, width) for name, part in zip(names, parts, strict=True)}
    return compared(in_turns(tasks, rounds, processor, repeats=5), *names)


def training_step(
    backbone: str, k: int, batch: int, image_size: int = 256, stages: Sequence[int] = (), **head
) -> Callable:
    """Return one step of the paper's optimiser on a batch of noise, as `fit` compiles it.

    stages: whose last blocks are tapped; () means the default tap. head: of `HeadOptions`.
    """
    with quiet():
        names = stage_taps(build_backbone(backbone, image_size, "none")) if stages else ()
        taps = [names[stage - 1] for stage in stages] or None
        model = build_classifier(backbone, k, image_size, "none", taps, HeadOptions(**head))
    model.compile(keras.optimizers.Adagrad(0.002), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, image_size, image_size, 3)).astype("float32")
    labels = random.integers(0, 2, batch)
    return lambda: model.train_on_batch(images, labels)


def arguments(rounds: int) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--batch", type=int, default=4, help="images in a training step")
    parser.add_argument("--processor", action="store_true", help="count processor seconds")
    parser.add_argument("--record", action="store_true", help="keep the table in results")
    return parser.parse_args()


def report(name: str, title: str, batch: int, rows: list[dict], given: argparse.Namespace) -> None:
    """Print the comparisons and how they were timed, and record them as `name` if that is asked."""
    clock = "processor time" if given.processor else "time passed"
    taken = {"batch": batch, "clock": clock, "rounds": given.rounds, "cores": os.cpu_count()}
    print(f"{title}, batch {batch}, {clock}, {given.rounds} rounds, {os.cpu_count()} cores")
    table = pd.DataFrame(rows)
    print(table.round(2).to_string(index=False), end="\n\n")
    if given.record:
        with atomic(resolve(f"results/benchmarks/{name}.csv")) as temporary:
            table.assign(**taken).to_csv(temporary, index=False, float_format="%.4f")


def main() -> None:
    given = arguments(rounds=20)
    rows = [bank_and_modules(k, given.rounds, given.processor) for k in (1, 2, 4, 8)]
    report("bank", f"Forward and backward, tap {TAP}", BATCH, rows, given)

    tasks = {f"k = {k}": training_step("EfficientNetV2B2", k, given.batch) for k in (0, 4)}
    ours = {"stages": (3, 4, 5), "branch": "linear", "statistic": "mean"}
    tasks["means of 3 taps"] = training_step("EfficientNetV2B2", 1, given.batch, **ours)
    steps = in_turns(tasks, given.rounds, given.processor)
    rows = [compared(steps, "k = 0", other) for other in list(tasks)[1:]]
    report("steps", "Step of EfficientNetV2B2, 256 px", given.batch, rows, given)


if __name__ == "__main__":
    main()

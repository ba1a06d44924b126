"""Time a bank beside the k modules it holds, and whole training steps beside one another.

    python benchmarks/bank.py [--batch 4] [--record]

Three tables: forward and backward pass of a bank and of k separate modules with the same weights,
on a 32 x 32 x 56 tap, batch 16, float32; a training step of EfficientNetV2B2 at 256 px with random
weights, without modules, with four, and with the variant of chapter 4 (the means of three taps);
and one of EfficientNetV2S, of which the paper says that it "requires twice as much training time"
(Section 3.1). What is compared runs in turns, so that a busy machine slows both alike. Medians over
rounds; a ratio is taken within each round, and its quartiles stand beside it. --record keeps the
tables in results/benchmarks, from where chapter 2 takes them.
"""

import argparse
import os
from collections.abc import Callable
from timeit import timeit

import numpy as np
import pandas as pd
import tensorflow as tf

from gramnb._keras import keras
from gramnb.choices import HeadOptions
from gramnb.layers import GramBank, GramModule
from gramnb.models import build_classifier
from gramnb.runs import atomic, resolve

TAP, BATCH, SIZE, ROUNDS = (32, 32, 56), 16, 256, 20
TAPS = ("block3c_project_conv", "block4d_project_conv", "block5f_project_conv")
MEANS = {"taps": TAPS, "options": HeadOptions(branch="linear", statistic="mean")}


def in_turns(tasks: dict[str, Callable], repeats: int = 1) -> pd.DataFrame:
    """Return milliseconds a call: a row for each round, a column for each task.

    Every other round goes in reverse order; two rounds before the first are not counted.
    """
    rows = []
    for number in range(ROUNDS + 2):
        order = list(tasks)[:: -1 if number % 2 else 1]
        rows.append({name: 1000 * timeit(tasks[name], number=repeats) / repeats for name in order})
    return pd.DataFrame(rows[2:])


def compared(times: pd.DataFrame, reference: str, other: str) -> dict[str, str | float]:
    """Return medians in milliseconds and the ratio other / reference with its quartiles."""
    low, ratio, high = (times[other] / times[reference]).quantile([0.25, 0.5, 0.75])
    median = times.median()
    return {"timed": other, "against": reference, "timed, ms": median[other],
            "against, ms": median[reference], "ratio": ratio, "low": low, "high": high}  # fmt: skip


def passes(layers: list[keras.layers.Layer], width: int) -> Callable:
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


def bank_and_modules(k: int) -> dict[str, str | float]:
    """Compare k modules with the bank that holds them."""
    modules = [GramModule() for _ in range(k)]
    for module in modules:
        module.build((None, *TAP))
    bank, separate = f"bank, k = {k}", f"{k} separate modules" if k > 1 else "a module"
    parts = {bank: [GramBank.from_modules(modules)], separate: modules}
    tasks = {name: passes(part, k * TAP[-1]) for name, part in parts.items()}
    return compared(in_turns(tasks, repeats=5), bank, separate)


def step(batch: int, k: int, backbone: str = "EfficientNetV2B2", **options) -> Callable:
    """Return one step of the paper's optimiser on a batch of noise, as `fit` compiles it."""
    model = build_classifier(backbone, k, SIZE, "none", **options)
    model.compile(keras.optimizers.Adagrad(0.002), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, SIZE, SIZE, 3)).astype("float32")
    labels = random.integers(0, 2, batch)
    return lambda: model.train_on_batch(images, labels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=4, help="images in a training step")
    parser.add_argument("--record", action="store_true", help="keep the tables in results")
    given = parser.parse_args()
    steps = {f"k = {k}": step(given.batch, k) for k in (0, 4)}
    steps = in_turns(steps | {"means of 3 taps": step(given.batch, 1, **MEANS)})
    backbones = "EfficientNetV2B2", "EfficientNetV2S"
    larger = in_turns({name: step(given.batch, 4, name) for name in backbones})
    tables = {
        "bank": [bank_and_modules(k) for k in (1, 2, 4, 8)],
        "steps": [compared(steps, "k = 0", name) for name in ("k = 4", "means of 3 taps")],
        "backbones": [compared(larger, *backbones)],
    }
    for name, rows in tables.items():
        how = {"batch": BATCH if name == "bank" else given.batch, "clock": "time passed"}
        table = pd.DataFrame(rows).assign(**how, rounds=ROUNDS, cores=os.cpu_count())
        print(table.round(2).to_string(index=False), end="\n\n")
        if given.record:
            with atomic(resolve(f"results/benchmarks/{name}.csv")) as temporary:
                table.to_csv(temporary, index=False, float_format="%.4f")

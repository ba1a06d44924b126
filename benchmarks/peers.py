"""Time training beside what one would use instead: a plain Keras script, and timm on PyTorch.

    python benchmarks/peers.py [--batch 8]

Ours and the plain script train the same network, EfficientNetV2B2 at 256 px with four Gram modules;
timm's has no modules. Each is timed on a batch that is there, and end to end from the drawn demo
files. All run in turns (`bank.py` says how), with random weights and Adagrad; without torch and
timm their row is left out.
"""

import argparse
from collections.abc import Callable

try:
    import timm
    import torch  # before TensorFlow: the other way round ends in a crash
except ImportError:
    torch = None

import numpy as np
import tensorflow as tf
from bank import in_turns
from PIL import Image

from gramnb import features
from gramnb._keras import keras, quiet
from gramnb.data import sources
from gramnb.data.inspection import inspect_all
from gramnb.models import build_classifier

K, SIZE, LOSS = 4, 256, "sparse_categorical_crossentropy"
IMAGES, ROUNDS = 64, 5


def plain_network() -> keras.Model:
    """Return the network of Figure 2 as a script would write it, module after module."""
    layers = keras.layers
    base = keras.applications.EfficientNetV2B2(False, None, input_shape=(SIZE, SIZE, 3))
    tap = base.get_layer("block3b_project_conv").output
    channels, modules = tap.shape[-1], []
    for _ in range(K):
        flat = layers.Reshape((-1, channels))(tap)
        x = layers.Dense(channels)(layers.Flatten()(layers.Dot(1)([flat, flat])))
        x = layers.BatchNormalization()(layers.LeakyReLU(0.2)(x))
        y = layers.LeakyReLU(0.2)(layers.Conv2D(channels, 1)(tap))
        modules.append(layers.Multiply()([x, layers.GlobalAveragePooling2D()(y)]))
    top = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(base.output))
    top = layers.Dense(K * channels)(layers.LeakyReLU(0.2)(top))
    both = layers.Add()([top, layers.Concatenate()(modules)])
    return keras.Model(base.input, layers.Dense(2, activation="softmax")(both))


def plain_data(table, batch: int) -> tf.data.Dataset:
    """Return batches of files and labels, read as a script would read them."""

    def read(path, label):
        image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
        return tf.image.resize(image, (SIZE, SIZE)), label

    data = tf.data.Dataset.from_tensor_slices((table["path"], table["sadness"]))
    return data.map(read, tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)


def keras_tasks(model: keras.Model, data: tf.data.Dataset) -> list[Callable]:
    """Return what trains a Keras model on one batch, and on all files."""
    model.compile(keras.optimizers.Adagrad(0.002), LOSS)
    images, labels = map(np.asarray, next(iter(data)))
    return [lambda: model.train_on_batch(images, labels), lambda: model.fit(data, verbose=0)]


def torch_tasks(table, batch: int) -> list[Callable]:
    """Return the same two of timm's network."""
    model = timm.create_model("tf_efficientnetv2_b2", num_classes=2).train()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adagrad(model.parameters(), 0.002)

    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(table)

        def __getitem__(self, row):
            image = Image.open(table["path"].iloc[row]).convert("RGB").resize((SIZE, SIZE))
            return torch.tensor(np.array(image)).permute(2, 0, 1), int(table["sadness"].iloc[row])

    def step(images, labels):
        images = images.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    data = torch.utils.data.DataLoader(Files(), batch, num_workers=2)
    one = next(iter(data))
    return [lambda: step(*one), lambda: [step(*each) for each in data]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=8)
    batch = parser.parse_args().batch
    table = inspect_all(sources.read("demo", count=IMAGES))
    table = table[table["dropped"] == ""].reset_index(drop=True)  # some are drawn damaged
    with quiet():
        ours = build_classifier("EfficientNetV2B2", K, SIZE, "none")
        peers = {
            "ours": keras_tasks(ours, features.images(table, SIZE, batch)),
            "plain Keras": keras_tasks(plain_network(), plain_data(table, batch)),
        }
    if torch:
        peers["timm, no modules"] = torch_tasks(table, batch)
    else:
        print("timm is left out: it needs torch, torchvision and timm")
    for number, images in enumerate((batch, len(table))):
        seconds = in_turns({name: tasks[number] for name, tasks in peers.items()}, ROUNDS)
        rates = (images / seconds).median().round(1)
        shown = ", ".join(f"{name} {rate}" for name, rate in rates.items())
        print(("a step", "end to end")[number], "images/s:", shown, flush=True)


if __name__ == "__main__":
    main()

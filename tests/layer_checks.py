"""What every layer of the package must do, checked in one place."""

import json

import numpy as np

from gramnb._keras import keras, ops

POLICIES = ("mixed_float16", "bfloat16")


def check_layer(layer_class, options, input_shape, output_shape, weights):
    """Check a layer's configuration, weight counts, shapes, dtypes, policies and one `fit`.

    Args:
        layer_class: the class; every instance is made with `options`.
        input_shape, output_shape: with the batch.
        weights: (trainable, not trainable) numbers, exact.
    """
    inputs = np.random.default_rng(0).uniform(0, 100, input_shape).astype("float32")
    layer = layer_class(**options)

    config = json.loads(json.dumps(layer.get_config()))
    again = layer_class.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    for name, value in options.items():
        assert config[name] == value

    symbolic = layer(keras.KerasTensor((None, *input_shape[1:])))
    eager = layer(inputs)
    assert symbolic.shape == (None, *output_shape[1:])
    assert tuple(eager.shape) == output_shape
    assert symbolic.dtype == keras.backend.standardize_dtype(eager.dtype) == "float32"
    assert (count(layer.trainable_weights), count(layer.non_trainable_weights)) == weights

    for policy in POLICIES:
        half = layer_class(**options, dtype=policy)
        result = half(ops.cast(inputs, half.compute_dtype))
        assert keras.backend.standardize_dtype(result.dtype) == "float32", policy
        assert np.isfinite(result).all(), policy

    inner = layer_class(**options)
    model = keras.Sequential([keras.Input(input_shape[1:]), inner, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.Adagrad(0.01), "mse")
    before = model.get_weights()
    loss = model.fit(inputs, np.zeros((len(inputs), 1)), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    kernels = [pair for pair in zip(before, model.get_weights(), strict=True) if pair[0].ndim > 1]
    assert kernels and all((old != new).any() for old, new in kernels)


def count(weights):
    """Return how many numbers the weights hold."""
    return sum(int(np.prod(w.shape)) for w in weights)

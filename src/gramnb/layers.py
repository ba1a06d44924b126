"""The Gram matrix of a feature map, the paper's Gram module, a bank of k modules, and a variant.

Whatever the dtype policy, everything after the feature map is float32: a sum over 1,024 positions
overflows float16. Only the 1x1 convolution follows the policy. Defaults are the paper's.
"""

from collections.abc import Sequence

import numpy as np

from gramnb._keras import keras, ops
from gramnb.choices import FUSIONS, SCALINGS, STATISTICS, check_choice

_SOFTENING = 1e-3  # keeps the slope of the signed square root finite where G is zero
_SMALLEST = 1e-6  # the same of the matrix square root and of the norm

register = keras.saving.register_keras_serializable(package="gramnb")


def _rows(features):
    """Return a feature map as one row a position: (B, H, W, C) -> (B, HW, C)."""
    _, height, width, channels = ops.shape(features)
    return ops.reshape(features, (-1, height * width, channels))


class _Float32Layer(keras.layers.Layer):
    """A layer that takes a feature map in any float dtype and answers in float32."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=4)


@register
class GramMatrix(_Float32Layer):
    """Inner products of a feature map's sub-maps, G = F F^T (equation 1): which features appear
    together, wherever they do: (B, H, W, C) -> (B, C, C) float32.

    Args:
        scaling: "none" (the paper's), "positions" divides by H * W, "signed_sqrt" takes
            sign(G) sqrt(|G|), written G / sqrt(|G| + 0.001) to keep its slope finite at zero,
            "signed_sqrt_l2" divides that by its l2 norm (Lin and Maji 2017, improved bilinear
            CNN), "matrix_sqrt" is the matrix square root of G / (H * W) (`matrix_square_root`).
        centred: subtract each sub-map's mean first; with "positions", G is then the covariance.
    """

    def __init__(self, scaling: str = "none", centred: bool = False, **kwargs):
        super().__init__(**kwargs)
        check_choice("scaling", scaling, SCALINGS)
        self.scaling = scaling
        self.centred = centred

    def call(self, features):
        """Return G of each image."""
        rows = ops.cast(_rows(features), "float32")  # F transposed
        if self.centred:
            rows = rows - ops.mean(rows, axis=1, keepdims=True)
        gram = ops.matmul(ops.transpose(rows, (0, 2, 1)), rows)  # (B, C, C)
        if self.scaling in ("positions", "matrix_sqrt"):
            gram = gram / ops.cast(ops.shape(rows)[1], "float32")
        if self.scaling == "matrix_sqrt":
            gram = matrix_square_root(gram)
        if self.scaling in ("signed_sqrt", "signed_sqrt_l2"):
            gram = gram / ops.sqrt(ops.abs(gram) + _SOFTENING)
        if self.scaling == "signed_sqrt_l2":
            gram = gram / ops.sqrt(ops.sum(gram**2, axis=(1, 2), keepdims=True) + _SMALLEST)
        return gram


def matrix_square_root(matrices, iterations: int = 5):
    """Return the square roots of positive semi-definite matrices (B, C, C) by matrix products only.

    Newton and Schulz's iteration, coupled, of matrices divided by their traces (iSQRT-COV, Li et
    al., CVPR 2018, equations 3 to 6). Few iterations leave eigenvalues far below the largest too
    small, which is part of the method: its authors take 5 (Section 4.2).
    """
    identity = ops.eye(matrices.shape[-1], dtype=matrices.dtype)
    trace = ops.trace(matrices, axis1=1, axis2=2)[:, None, None] + _SMALLEST  # (B, 1, 1)
    root, inverse = matrices / trace, identity  # of the normalised matrix, when it ends
    for _ in range(iterations):
        step = 0.5 * (3.0 * identity - ops.matmul(inverse, root))
        root, inverse = ops.matmul(root, step), ops.matmul(step, inverse)
    return root * ops.sqrt(trace)


@register
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation of feature maps, (B, H, W, C) -> the same, that trains in one kernel.

    Keras writes it as six operations, each of which reads the map again. TensorFlow has one for all
    of them; results differ by rounding only. Inference and other backends stay Keras's.
    """

    def call(self, inputs, training=None, mask=None):
        """Return the normalised map; in training, update the moving statistics as well."""
        if not (training and self.trainable and keras.backend.backend() == "tensorflow"):
            return super().call(inputs, training=training, mask=mask)
        from tensorflow.compat.v1.nn import fused_batch_norm

        scale, offset = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        normalised, mean, variance = fused_batch_norm(
            inputs, scale, offset, epsilon=self.epsilon, is_training=True
        )
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        variance = variance * (count - 1) / count  # the kernel's is the unbiased one, Keras's not
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            now = ops.cast(now, moving.dtype)
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return normalised


@register
class GramModule(_Float32Layer):
    """The paper's Gram module (Figure 3): (B, H, W, C) -> (B, units) float32.

    G -> flatten -> dense -> leaky ReLU -> batch normalisation, beside it 1x1 convolution -> leaky
    ReLU -> average of each sub-map; the two are fused by multiplication.

    Args:
        units: width of either side; None means the C channels of the feature map.
        statistic: "gram", or "mean": the sub-maps' means in place of G, the first-order control.
        scaling: of G, as `GramMatrix` takes it; "none" for "mean".
        activation: whether the two leaky ReLUs are there.
        fusion: "multiply" (the paper's), "add", "average", or "concatenate" (doubles the width:
            the side of G first, then the convolution's).
        negative_slope: of the leaky ReLUs.
        momentum: of the batch normalisation's moving statistics.

    Raises:
        ValueError: an unknown option, or an input that is no feature map.
    """

    k = 1  # modules held side by side

    def __init__(
        self, units: int | None = None, statistic: str = "gram", scaling: str = "none",
        activation: bool = True, fusion: str = "multiply", negative_slope: float = 0.2,
        momentum: float = 0.99, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        check_choice("statistic", statistic, STATISTICS)
        check_choice("scaling", scaling, SCALINGS if statistic == "gram" else SCALINGS[:1])
        check_choice("fusion", fusion, FUSIONS)
        self.units = units
        self.statistic = statistic
        self.scaling = scaling
        self.slope = negative_slope if activation else 1.0
        self.fusion = fusion
        self.momentum = momentum

    def build(self, input_shape):
        """Create the weights: C * C -> k * units, C -> k * units, and the normalisation."""
        self.channels = input_shape[-1]
        if self.statistic == "gram":
            self.gram, inputs = GramMatrix(self.scaling, name="gram"), self.channels**2
        else:
            self.gram = keras.layers.GlobalAveragePooling2D(dtype="float32", name="mean")
            inputs = self.channels
        units = self.units or self.channels
        self.dense = self._dense(inputs, units, dtype="float32", name="dense")
        self.convolution = self._dense(  # at each position: a 1x1 convolution, but faster
            self.channels, units, dtype=self.dtype_policy, name="convolution"
        )
        self.normalisation = keras.layers.BatchNormalization(
            momentum=self.momentum, dtype="float32", name="normalisation"
        )
        self.normalisation.build((None, self.k * units))

    def _dense(self, inputs: int, units: int, **options) -> keras.layers.Dense:
        """Return a built layer for k modules that starts as glorot_uniform does for one."""
        scale = (inputs + self.k * units) / (inputs + units)  # it sees k times the fan-out
        start = keras.initializers.VarianceScaling(scale, "fan_avg", "uniform")
        layer = keras.layers.Dense(self.k * units, kernel_initializer=start, **options)
        layer.build((None, inputs))
        return layer

    def call(self, features, training=None):
        """Return the fused sides; widths below are of all k modules together."""
        gram = self.gram(features)  # (B, C, C), or the means, (B, C)
        return self.fuse(self.dense_side(gram, training), self.convolved_side(features))

    def dense_side(self, gram, training=None):
        """Return what is made of G, (B, C, C), or of the means, (B, C): (B, k * units)."""
        vector = ops.reshape(gram, (-1, self.dense.kernel.shape[0]))  # (B, C * C)
        values = ops.leaky_relu(self.dense(vector), self.slope)
        return self.normalisation(values, training=training)

    def convolved_side(self, features):
        """Return what is made of the feature map, (B, H, W, C): (B, k * units)."""
        maps = ops.leaky_relu(self.convolution(_rows(features)), self.slope)  # (B, HW, k * units)
        return ops.mean(ops.cast(maps, "float32"), axis=1)  # (B, k * units)

    def fuse(self, dense, means):
        """Return both sides as one: (B, k * units), or (B, 2 * k * units)."""
        if self.fusion == "multiply":
            return dense * means
        if self.fusion == "concatenate":  # within each module, so that k modules keep their order
            each = (-1, self.k, dense.shape[-1] // self.k)
            sides = [ops.reshape(dense, each), ops.reshape(means, each)]  # (B, k, units)
            return ops.reshape(ops.concatenate(sides, axis=-1), (-1, 2 * dense.shape[-1]))
        return (dense + means) / (2.0 if self.fusion == "average" else 1.0)


@register
class GramBank(GramModule):
    """k Gram modules that read the same feature map: (B, H, W, C) -> (B, k * units) float32.

    Outputs and gradients are those of k separate modules (Figure 2, concatenated in order), while G
    is computed once. A fresh bank is distributed as k fresh modules are. The options are theirs.

    Example:
        >>> GramBank(3)(keras.random.normal((8, 32, 32, 56))).shape
        (8, 168)
    """

    def __init__(self, k: int, units: int | None = None, **kwargs):
        super().__init__(units, **kwargs)
        if k < 1:
            raise ValueError(f"k must be 1 or more in a bank, got {k}")
        self.k = k

    @classmethod
    def from_modules(cls, modules: Sequence[GramModule]) -> "GramBank":
        """Return the bank that holds the modules' weights, in their order.

        Raises ValueError if they are not built, or differ in options or channels.
        """
        options = [{**module.get_config(), "name": None} for module in modules]
        channels = [module.built and module.channels for module in modules]
        if not channels[0] or any(each != same[0] for same in (options, channels) for each in same):
            raise ValueError("a bank is made of built modules with the same options and channels")
        bank = cls.from_config({**options[0], "k": len(modules)})
        bank.build((None, None, None, channels[0]))
        for held, *given in zip(bank.weights, *(m.weights for m in modules), strict=True):
            held.assign(ops.concatenate(given, axis=-1))
        return bank


@register
class SecondOrderPooling(GramMatrix):
    """The upper triangle of G, row by row: (B, H, W, C) -> (B, R (R + 1) / 2), R = rank or C.

    A variant beside the paper's module, for `choices.HeadOptions(branch="linear")`. With the signed
    square root it is bilinear pooling (Lin et al., ICCV 2015); centred, with a rank and the matrix
    square root it is iSQRT-COV. Beside the options of `GramMatrix`, `rank` projects the C sub-maps
    onto so many learned ones first.
    """

    def __init__(
        self, scaling: str = "signed_sqrt", rank: int | None = None, centred: bool = False, **kwargs
    ):
        super().__init__(scaling, centred, **kwargs)
        self.rank = rank

    def build(self, input_shape):
        """Create the projection, C -> rank, if there is one."""
        if self.rank:
            self.projection = keras.layers.Dense(
                self.rank, use_bias=False, dtype="float32", name="projection"
            )
            self.projection.build(input_shape)

    def call(self, features):
        """Return the triangle of each image's G."""
        if self.rank:
            features = self.projection(features)  # (B, H, W, R)
        gram = super().call(features)  # (B, R, R)
        side = gram.shape[-1]
        upper = np.ravel_multi_index(np.triu_indices(side), (side, side))
        return ops.take(ops.reshape(gram, (-1, side**2)), upper, axis=-1)  # (B, R (R + 1) / 2)

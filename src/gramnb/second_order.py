"""Second-order pooling: the distinct entries of a Gram matrix as a vector, an input of our search.

The paper's module multiplies a projection of G with means of a second convolution. Here the Gram
matrix is treated as the backbone's pooled features are: a vector that one dense layer compresses
(`models.HeadOptions(branch="linear")`). G is symmetric, so its upper triangle says all; its signed
square root evens out entries that span decades, as in bilinear pooling (Lin et al., ICCV 2015).
"""

import numpy as np

from gramnb._keras import keras, ops
from gramnb.layers import GramMatrix, register


@register
class SecondOrderPooling(keras.layers.Layer):
    """The upper triangle of a feature map's Gram matrix, row by row, in float32.

    Args:
        scaling: as `GramMatrix` takes it.
        rank: project the C sub-maps onto this many learned ones first; None: no projection.

    Call arguments:
        features: (B, H, W, C) in any float dtype.

    Returns:
        (B, R (R + 1) / 2) float32, R = rank or C.

    Raises:
        ValueError: a rank below 1, or an option that `GramMatrix` refuses.
    """

    def __init__(self, scaling: str = "signed_sqrt", rank: int | None = None, **kwargs):
        """Check and keep the options."""
        super().__init__(autocast=False, **kwargs)
        if rank is not None and rank < 1:
            raise ValueError(f"rank must be 1 or more, or None for no projection; got {rank}")
        self.rank = rank
        self.gram = GramMatrix(scaling, name="gram")

    def build(self, input_shape):
        """Create the projection, C -> rank, if there is one."""
        self.projection = None
        if self.rank:
            self.projection = keras.layers.Dense(
                self.rank, use_bias=False, dtype="float32", name="projection"
            )
            self.projection.build(input_shape)

    def call(self, features):
        """Return the triangle of each image's G."""
        features = ops.cast(features, "float32")
        if self.projection is not None:
            features = self.projection(features)  # (B, H, W, R)
        gram = self.gram(features)  # (B, R, R)
        side = gram.shape[-1]
        rows, columns = np.triu_indices(side)
        flat = ops.reshape(gram, (-1, side * side))
        return ops.take(flat, rows * side + columns, axis=-1)  # (B, R (R + 1) / 2)

    def get_config(self):
        """Return the arguments that make this layer again."""
        return {**super().get_config(), "scaling": self.gram.scaling, "rank": self.rank}

    def compute_output_shape(self, input_shape):
        """Return (B, R (R + 1) / 2)."""
        side = self.rank or input_shape[-1]
        return (input_shape[0], side * (side + 1) // 2)

    def compute_output_spec(self, features, **kwargs):
        """Return the output's shape; float32 whatever comes in."""
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")

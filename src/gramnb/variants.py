"""Two variants: the multi-level network of Zhang et al., and contrastive-centre loss.

The loss (Qi and Su, ICIP 2017) is added to cross-entropy in training. It draws the embedding that
the last layer reads to a learned centre of its own class, and away from those of the others.
"""

from pathlib import Path

from gramnb._keras import keras, ops
from gramnb.backbones import build_backbone
from gramnb.layers import GramMatrix, register
from gramnb.models import join, probabilities, side_by_side

SHALLOW = ("conv2_block3_out", "conv3_block4_out")  # the layers that end the first two stages
REDUCED = 64  # channels left of each of them before its Gram matrix
UNITS = 2048  # width of the aggregating layer and of the 1x1 convolution


def build_multilevel_resnet50(
    image_size: int = 256, weights: str | Path | None = None
) -> keras.Model:
    """Return the multi-level network of Zhang et al., as Sections 2 and 3.1 describe it.

    Gram matrices of shallow stages, flattened, are aggregated by a fully connected layer as wide as
    ResNet-50's semantic vector, and fused with the deep features after a 1x1 convolution. What the
    paper does not say is our choice, listed in `book/systems.md`. Inputs, outputs, arguments and
    errors are those of `models.build_classifier`.
    """
    body = build_backbone("ResNet50", image_size, weights, SHALLOW)
    top, *maps = (
        keras.Input(map_.shape[1:], name=f"map{i}") for i, map_ in enumerate(body.outputs)
    )
    vectors = []
    for i, tapped in enumerate(maps, 1):
        reduce = keras.layers.Conv2D(REDUCED, 1, activation="relu", name=f"reduce{i}")
        gram = GramMatrix("positions", name=f"gram{i}")(reduce(tapped))  # (B, R, R)
        flatten = keras.layers.Flatten(dtype="float32", name=f"flatten{i}")
        vectors.append(flatten(gram))  # (B, R * R)
    visual = keras.layers.Dense(UNITS, activation="relu", dtype="float32", name="aggregate")
    shallow = side_by_side(vectors, "shallow")
    deep = keras.layers.Conv2D(UNITS, 1, activation="relu", name="deep")(top)  # (B, H, W, units)
    semantic = keras.layers.GlobalAveragePooling2D(dtype="float32", name="semantic")(deep)
    fused = keras.layers.Add(dtype="float32", name="fusion")([visual(shallow), semantic])
    fused = keras.layers.Dropout(0.5, dtype="float32", name="dropout")(fused)  # (B, units)
    return join(body, keras.Model([top, *maps], probabilities(fused), name="head"))


class ContrastiveCentreLoss(keras.losses.Loss):
    """Half the mean of d_y / (sum of other classes' d_j + 1), d squared distances to centres."""

    def call(self, y_true, y_pred):
        """Return one value an embedding, (B,), of class indices (B,) and distances (B, classes)."""
        classes = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        own = ops.sum(ops.one_hot(classes, y_pred.shape[-1]) * y_pred, axis=-1)
        others = ops.sum(y_pred, axis=-1) - own
        return 0.5 * own / (others + 1.0)


@register
class WithCentres(keras.Model):
    """A classifier in training: what it is compiled with, plus weight * contrastive-centre loss.

    classifier: of `models.build_classifier` or `build_head`; it shares its weights, and is what is
    kept after `fit`. Called, this model returns (probabilities, squared distances of the embedding
    to one trainable centre a class), both (B, classes); metrics see the probabilities alone.
    """

    def __init__(self, classifier: keras.Model, weight: float, **kwargs):
        super().__init__(**kwargs)
        self.classifier, self.weight = classifier, weight
        self.loss_of_centres = ContrastiveCentreLoss()
        self.network = _with_embedding(classifier)
        shape = classifier.output_shape[-1], self.network.output_shape[1][-1]  # (classes, D)
        self.centres = self.add_weight(shape, "glorot_uniform", "float32", name="centres")
        self.built = True

    def call(self, inputs, training=None):
        """Return probabilities and squared distances."""
        probabilities, embedding = self.network(inputs, training=training)
        apart = ops.expand_dims(embedding, 1) - self.centres  # (B, classes, D)
        return probabilities, ops.sum(ops.square(apart), axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the compiled loss of the probabilities plus the weighted loss of the centres."""
        probabilities, distances = y_pred
        loss = super().compute_loss(x, y, probabilities, sample_weight, training)
        return loss + self.weight * self.loss_of_centres(y, distances, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Return the compiled metrics of the probabilities."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)

    def get_config(self):
        """Return the arguments."""
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return {**super().get_config(), "classifier": classifier, "weight": self.weight}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model that `get_config` describes."""
        classifier = keras.saving.deserialize_keras_object(config["classifier"], custom_objects)
        return cls(**{**config, "classifier": classifier})


def _with_embedding(classifier: keras.Model) -> keras.Model:
    """Return the same network with the last layer's input, the embedding, as a second output."""
    layers = {layer.name: layer for layer in classifier.layers}
    if "head" in layers:
        return join(layers["backbone"], _with_embedding(layers["head"]))
    embedding = layers["probabilities"].input
    return keras.Model(classifier.inputs, [classifier.output, embedding], name="head")

"""What can be chosen by name, known without TensorFlow: backbones, forms of the module, a head.

So settings are checked, and mistakes in them refused, before anything long is loaded.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from gramnb.settings import Settings

SCALINGS = ("none", "positions", "signed_sqrt", "signed_sqrt_l2", "matrix_sqrt")
STATISTICS = ("gram", "mean")
FUSIONS = ("multiply", "add", "concatenate", "average")

Units = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise ValueError, listing the valid values, if an argument has none of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def check_shard(part: int, parts: int) -> None:
    """Raise ValueError unless there is such a part of so many, counted from 1."""
    if not 1 <= part <= parts:
        raise ValueError(f"shard must be I/N, I from 1 to N, got {part}/{parts}")


class Backbone(NamedTuple):
    """The layer that the Gram modules read by default, the tap, and its number of sub-maps C.

    It is the projection of the second block of stage 3, stride 8, before its batch normalisation
    (Section 3.1); of ResNet50, which has none, the 3 x 3 convolution of that block.
    """

    tap_channels: int
    tap: str = "block3b_project_conv"


BACKBONES = {
    "EfficientNetV2B0": Backbone(48),
    "EfficientNetV2B1": Backbone(48),
    "EfficientNetV2B2": Backbone(56),
    "EfficientNetV2B3": Backbone(56),
    "EfficientNetV2S": Backbone(64),
    "EfficientNetV2M": Backbone(80),
    "EfficientNetV2L": Backbone(96),
    "ResNet50": Backbone(128, "conv3_block2_2_conv"),
    "EfficientNetLite0": Backbone(40),
    "EfficientNetLite2": Backbone(48),
}


class HeadOptions(Settings):
    """The choices the paper leaves open or mentions without numbers; the defaults are ours."""

    # width of the baseline's compressing layer; None: 3 * C, the 168 of Section 4.2. With Gram
    # modules the width follows from them
    head_units: Units | None = None
    # a fully connected layer after pooling ("Stage 7", Table 2: 1408); None: none
    pooled_units: Units | None = None
    # leaky ReLU before the compressing layer (Section 4.2's order) or after it
    activation: Literal["before", "after"] = "before"
    module_activation: bool = True  # whether the Gram modules have leaky ReLUs
    gram_scaling: Literal[*SCALINGS] = "none"  # of G, as `layers.GramMatrix` takes it
    module_fusion: Literal[*FUSIONS] = "multiply"  # of a module's two sides (Figure 3)
    # of the backbone's branch and the modules' (Figure 2)
    branch_fusion: Literal["add", "concatenate"] = "add"
    # "mean": sub-map means in place of G, the first-order control; "covariance": G of centred
    # sub-maps, in the linear branch alone
    statistic: Literal[*STATISTICS, "covariance"] = "gram"
    # what reads the taps; "linear" is ours: the statistic, standardised, dropout, a dense layer
    branch: Literal["modules", "linear"] = "modules"
    rank: Units | None = None  # the linear branch projects taps onto so many sub-maps first
    momentum: Share = 0.99  # of the modules' batch normalisation
    dropout: Share = 0.5  # rate after pooling (Section 4.2)
    negative_slope: Annotated[float, Field(ge=0)] = 0.2  # of every leaky ReLU (Section 4.2)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        modules, mean = self.branch == "modules", self.statistic == "mean"
        if modules and (self.rank or self.statistic == "covariance"):
            raise ValueError("rank and statistic 'covariance' are of branch='linear'")
        if not modules and (self.module_fusion != "multiply" or not self.module_activation):
            raise ValueError(
                "module_fusion and module_activation are of modules; branch 'linear' has none"
            )
        if mean and (self.rank or self.gram_scaling != "none"):
            raise ValueError("gram_scaling and rank are of G; statistic 'mean' has none")
        return self

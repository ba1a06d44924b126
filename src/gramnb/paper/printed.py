"""The paper's published numbers and settings; a comment names the section that prints one.

Motiejauskas and Dzemyda, International Journal of Computers Communications & Control 19(5), 6697,
2024. Nothing here is computed. Table 3 is absent: its cells are missing from the text this project
worked from (`paper.table3` derives its accuracies). Shares are 0-1.
"""

from typing import NamedTuple


class Counts(NamedTuple):
    """Images of a part by class."""

    others: int
    sadness: int

    @property
    def total(self) -> int:
        """Images of both classes."""
        return self.others + self.sadness


class Data(NamedTuple):
    """Images (Section 4.1), and the label counts of WEBEmo's own lists that bear on them."""

    listed: int = 268_000  # "about"
    retrieved: int = 220_854
    filtered: int = 61_074  # also 4.2
    sadness_share: float = 0.46  # "about"
    train: Counts = Counts(26_445, 22_413)
    validation: Counts = Counts(3_284, 2_823)
    test: Counts = Counts(3_284, 2_823)
    lines_train: int = 213_952  # WEBEmo, train25.txt
    lines_test: int = 53_489  # WEBEmo, test25.txt
    label_sadness: int = 4_715  # the same, label 19
    level2_sadness: int = 13_663  # the same, level-2 class sadness


class Settings(NamedTuple):
    """The network and its training, Sections 3.1, 4.2 and 5."""

    backbone: str = "EfficientNetV2B2"  # 3.1
    image_size: int = 256  # 4.2
    tap: str = "block3b_project_conv"  # 3.1
    tap_channels: int = 56  # 3.1, Table 2
    features: int = 1408  # 3.1, Table 2
    head_units: int = 168  # 3.1, 4.2
    convolutional_layers: int = 91  # 3.1
    stages: int = 6  # 3.1
    dropout: float = 0.5  # 4.2
    negative_slope: float = 0.2  # 4.2
    optimizer: str = "Adagrad"  # 4.2
    learning_rate: float = 0.002  # 4.2, per GPU
    gpus: int = 2  # 4.2
    batch_size: int = 64  # 4.2, per GPU
    randaugment: tuple[int, int] = (3, 7)  # 4.2, N and M
    epochs: int = 25  # 5
    epochs_zhang: int = 60  # 5, the model of Zhang et al.
    runs: int = 5  # 5, Tables 3-6
    modules: tuple[int, ...] = (2, 3, 4, 5)  # 5, Table 4
    modules_transfer: int = 4  # 5.1, 5.2


class Claims(NamedTuple):
    """Sizes claimed in running text."""

    gain: float = 0.4  # 5, percent accuracy over the baseline, "around"
    gain_randaugment: tuple[float, float] = (3.0, 4.0)  # 5, percent, baseline and proposed
    training_time_v2s: float = 2.0  # 3.1, EfficientNetV2S over B2


class Stage(NamedTuple):
    """One row of Tables 1 and 2; None where the text at hand has lost the cell."""

    operation: str
    channels: int
    stride: int | None
    layers: int | None


class Scores(NamedTuple):
    """One class's row of Tables 4-6, shares; support is images."""

    precision: float
    recall: float
    f1: float
    support: int


DATA, SETTINGS, CLAIMS = Data(), Settings(), Claims()

TABLE1 = (  # EfficientNetV2S; stage 4's six layers are repeated in Section 3.1
    Stage("Conv3x3", 24, 2, None),
    Stage("Fused-MBConv1, k3x3", 24, None, 2),
    Stage("Fused-MBConv4, k3x3", 48, None, 4),
    Stage("Fused-MBConv4, k3x3", 64, None, None),
    Stage("MBConv4, k3x3, SE0.25", 128, None, 6),
    Stage("MBConv6, k3x3, SE0.25", 160, None, None),
    Stage("MBConv6, k3x3, SE0.25", 256, None, 15),
    Stage("Conv1x1 & Pooling & FC", 1280, None, None),
)
TABLE2 = (  # EfficientNetV2B2
    Stage("Conv3x3", 32, None, None),
    Stage("Fused-MBConv1, k3x3", 16, None, None),
    Stage("MBConv4, k3x3", 32, None, None),
    Stage("MBConv4, k3x3", 56, None, None),
    Stage("MBConv4, k3x3, SE0.25", 104, None, 4),
    Stage("MBConv6, k3x3, SE0.25", 120, None, 6),
    Stage("MBConv6, k3x3, SE0.25", 208, None, 10),
    Stage("Global Average Pooling & FC", 1408, None, None),
)
_O, _S = DATA.test
TABLE4 = {  # k: (others, sadness), averages over 5 runs on the WEBEmo test part
    0: (Scores(0.8374, 0.8088, 0.8229, _O), Scores(0.7862, 0.8174, 0.8015, _S)),
    2: (Scores(0.8257, 0.8368, 0.8312, _O), Scores(0.8071, 0.7946, 0.8008, _S)),
    3: (Scores(0.8253, 0.8392, 0.8322, _O), Scores(0.8092, 0.7932, 0.8011, _S)),
    4: (Scores(0.8252, 0.8427, 0.8339, _O), Scores(0.8125, 0.7924, 0.8022, _S)),
    5: (Scores(0.8242, 0.8414, 0.8327, _O), Scores(0.8109, 0.7911, 0.8009, _S)),
}
TABLE5 = (Scores(0.8607, 0.8025, 0.8307, 467), Scores(0.7603, 0.8283, 0.7928, 353))  # UnbiasedEmo
TABLE6 = (Scores(0.8365, 0.7198, 0.7737, 888), Scores(0.5907, 0.7417, 0.6576, 484))  # Emotion-6

PUBLISHED = {  # all images of the sets of which Tables 5 and 6 take a part, as they are shipped
    "UnbiasedEmo": Counts(2_287, 758),
    "Emotion-6": Counts(6_129, 2_221),
}

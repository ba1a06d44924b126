"""What a run depends on, as one frozen value that checks itself."""

from dataclasses import dataclass, field, fields, replace

from gramnb.backbones import BACKBONES
from gramnb.layers import check_choice
from gramnb.models import HeadOptions

OPTIMIZERS = ("adagrad", "adam")
SCHEDULES = ("constant", "cosine")
NETWORKS = ("gram", "multilevel")


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; the defaults are the paper's (Section 4.2).

    Attributes:
        manifest: the data, a manifest with splits; relative to the project root.
        k: number of parallel Gram modules; 0 is the baseline. With `head.branch` "linear",
            which has no modules, what reads the taps is as wide as so many.
        seed: of initial weights, dropout, shuffling and augmentation.
        network: "gram", the paper's (`models.build_classifier`; its baseline with k = 0), or
            "multilevel", Zhang et al.'s (`variants.build_multilevel_resnet50`; k = 0).
        backbone: a name in `backbones.BACKBONES`.
        weights: "imagenet", "none" or a file; empty means the backbone's own default.
        taps: layers whose maps are read beside the top; empty means the backbone's default.
        image_size: side of the square input, in pixels.
        epochs: passes over the training split.
        batch_size: images a replica takes in a step, if `global_batch` is 0.
        global_batch: images all replicas together take in a step; 0 means batch_size x replicas.
        learning_rate: of a replica, to be multiplied by their number as Section 4.2 does; with a
            `global_batch`, of the whole batch.
        optimizer: "adagrad" (the paper's) or "adam".
        schedule: of the learning rate: "constant", or "cosine", which falls to 0 by the last step.
        weight_decay: decoupled, of kernels only: each step shrinks them by learning rate x this.
        frozen: train only the head, on cached features of the backbone, without augmentation.
        augment: RandAugment's (N, M), or None.
        replicas: 0 means all visible GPUs (one CPU if there is none); n > 0 without GPUs means n
            logical CPU devices.
        evaluate: which epoch's weights are kept: "best" validation accuracy, or the "last".
        train_share: share of the training split that is used, drawn by the seed.
        fold: -1 uses the manifest's splits; f tests on fold f and validates on the one after it.
        centre_loss: weight of the contrastive-centre loss (`variants`) beside cross-entropy.
        head: the choices the paper leaves open.

    Raises:
        ValueError: a value out of range, before anything is built.
    """

    manifest: str = "runs/demo/manifest.parquet"
    k: int = 4
    seed: int = 0
    network: str = "gram"
    backbone: str = "EfficientNetV2B2"
    weights: str = ""
    taps: tuple[str, ...] = ()
    image_size: int = 256
    epochs: int = 25
    batch_size: int = 64
    global_batch: int = 0
    learning_rate: float = 0.002
    optimizer: str = "adagrad"
    schedule: str = "constant"
    weight_decay: float = 0.0
    frozen: bool = False
    augment: tuple[int, int] | None = (3, 7)
    replicas: int = 0
    evaluate: str = "best"
    train_share: float = 1.0
    fold: int = -1
    centre_loss: float = 0.0
    head: HeadOptions = field(default_factory=HeadOptions)

    def __post_init__(self) -> None:
        """Check every value; a frozen run's augmentation becomes None, since it has none."""
        for name in ("learning_rate", "weight_decay", "train_share", "centre_loss"):
            # 10 and 10.0 are one setting: a run's name follows from how it is written
            object.__setattr__(self, name, float(getattr(self, name)))
        for name, choices in {
            "backbone": tuple(BACKBONES),
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "network": NETWORKS,
            "evaluate": ("best", "last"),
        }.items():
            check_choice(name, getattr(self, name), choices)
        for name, least in {
            "k": 0,
            "image_size": 32,
            "epochs": 1,
            "batch_size": 1,
            "global_batch": 0,
            "replicas": 0,
            "fold": -1,
            "centre_loss": 0,
            "weight_decay": 0,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 < self.train_share <= 1:
            raise ValueError(f"train_share must be in (0, 1], got {self.train_share}")
        other = self.backbone != "ResNet50" or self.k or self.frozen or self.centre_loss
        if self.network == "multilevel" and (other or self.head != HeadOptions()):
            raise ValueError(
                "network 'multilevel' is ResNet50 with its own Gram matrices and head, trained "
                "whole: backbone='ResNet50', k=0, frozen=False, centre_loss=0, head=HeadOptions()"
            )
        if self.frozen and self.weights == "none":
            raise ValueError(
                "a frozen backbone needs trained weights: weights='none' would keep random ones; "
                "take weights='imagenet' or a file, or train all of it with frozen=False"
            )
        if self.frozen:
            object.__setattr__(self, "augment", None)

    def resolved(self, replicas: int) -> "TrainConfig":
        """Return what this means on so many replicas: nothing is left to the machine.

        `global_batch` is a number, `learning_rate` that of the whole batch, `batch_size` a
        replica's part of it. Where `replicas` is set already, that number stands.

        Raises:
            ValueError: the global batch does not divide among the replicas.
        """
        replicas = self.replicas or replicas
        whole = self.global_batch or self.batch_size * replicas
        if whole % replicas:
            raise ValueError(
                f"global_batch {whole} does not divide among {replicas} replicas; choose a "
                "multiple, or set replicas to a number that divides it"
            )
        rate = self.learning_rate if self.global_batch else self.learning_rate * replicas
        return replace(
            self,
            replicas=replicas,
            global_batch=whole,
            batch_size=whole // replicas,
            learning_rate=rate,
        )

    @property
    def variant(self) -> str:
        """What sets this run's network apart in a table; seed, data and schedule aside."""
        parts = [f"k = {self.k}" if self.network == "gram" else self.network]
        parts += ["frozen" if self.frozen else "fine-tuned"]
        parts += [f"centre_loss {self.centre_loss:g}"] if self.centre_loss else []
        changed = {
            f.name: getattr(self.head, f.name)
            for f in fields(self.head)
            if getattr(self.head, f.name) != f.default and f.name != "momentum"
        }
        return ", ".join(parts + [f"{name} {value}" for name, value in changed.items()])

    @classmethod
    def load(cls, recorded: dict) -> "TrainConfig":
        """Return the configuration that a run's `config.json` records."""
        names = {f.name for f in fields(cls)}
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in recorded.items()
            if name in names
        }
        return cls(**{**values, "head": HeadOptions(**recorded["head"])})


# What notebook 03 trains by default: a small frozen run, seconds on a CPU. With as few steps
# as this, batch normalisation must forget its start sooner than its usual momentum lets it.
DEMO = TrainConfig(
    backbone="EfficientNetLite0",
    image_size=128,
    epochs=30,
    batch_size=32,
    optimizer="adam",
    learning_rate=0.001,
    frozen=True,
    head=HeadOptions(momentum=0.9),
)

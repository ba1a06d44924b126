"""What a run depends on, as one frozen value that checks itself."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from gramnb.choices import BACKBONES, HeadOptions
from gramnb.runs import Run, resolve
from gramnb.settings import Distinct, Settings

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0, lt=2**31)]
Amount = Annotated[float, Field(ge=0)]
Names = Annotated[tuple[str, ...], Strict(False), Distinct]  # a list, as in JSON, will do too
RandAugment = tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=0, le=10)]]
# Settings that came later are recorded where they are not the default: older runs keep their names.
LATER = ("validation", "classes", "trained_from", "precision", "xla")


class TrainConfig(Settings):
    """Everything a run depends on; the defaults are the paper's (Section 4.2).

    Raises:
        ValueError: a value out of range, in one line, before anything is built.
    """

    manifest: str = "runs/demo/manifest.parquet"  # the data; relative to the project root
    # parallel Gram modules, or as wide a branch of head.branch "linear"; 0 is the baseline
    k: Annotated[int, Field(ge=0, le=1000)] = 4
    # of initial weights, dropout, shuffling and augmentation
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    # the paper's (k = 0: its baseline), or Zhang et al.'s (`variants`), which takes k = 0
    network: Literal["gram", "multilevel"] = "gram"
    backbone: Literal[*BACKBONES] = "EfficientNetV2B2"
    weights: str = ""  # "imagenet", "none" or a file; empty: the backbone's own default
    taps: Names = ()  # layers whose maps are read beside the top; (): the backbone's default
    image_size: Annotated[int, Field(ge=32, le=8192)] = 256  # side of the square input, in pixels
    epochs: Count = 25  # passes over the training split
    batch_size: Count = 64  # images a replica takes in a step, if global_batch is 0
    global_batch: Whole = 0  # images all replicas take in a step; 0: batch_size x replicas
    # of a replica, times their number (Section 4.2); with a global_batch, of the whole batch
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    # of the learning rate; "cosine" falls to 0 by the last step
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Amount = 0.0  # decoupled: a step shrinks kernels by learning rate x this
    frozen: bool = False  # train only the head, on cached features, without augmentation
    # layer whose cached map is read; what is above it trains with the head, without augmentation
    trained_from: str = ""
    # RandAugment's (N, M), or None; a run on cached features has none
    augment: Annotated[RandAugment, Strict(False)] | None = (3, 7)
    replicas: Whole = 0  # 0: all GPUs, or one CPU; n without GPUs: n logical devices of the CPU
    # of the network's arithmetic; weights, and what follows a feature map, stay float32
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    xla: Literal["auto", "on", "off"] = "auto"  # compile a step with XLA; "auto": where a GPU is
    evaluate: Literal["best", "last"] = "best"  # epoch that is kept: best validation accuracy
    # share of the training split that is used, drawn by the seed
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    # -1: the manifest's splits; f: tests on fold f and validates on the one after it
    fold: Annotated[int, Field(ge=-1)] = -1
    validation: bool = True  # False, with `evaluate` "last": all folds but the tested one train
    # what is told apart, sadness second; the rest are of their emotion, or else "others"
    classes: Names = ("others", "sadness")
    centre_loss: Amount = 0.0  # weight of the contrastive-centre loss beside cross-entropy
    head: HeadOptions = HeadOptions()  # the choices the paper leaves open

    @model_validator(mode="after")
    def _agree(self) -> Self:
        own = (self.k, self.frozen, self.centre_loss, self.trained_from, self.taps)
        own += (self.backbone != "ResNet50", len(self.classes) > 2, self.head != HeadOptions())
        if self.network == "multilevel" and any(own):
            raise ValueError(
                "network 'multilevel' is ResNet50 with its own Gram matrices and head, trained "
                "whole: backbone='ResNet50', k=0, frozen=False, centre_loss=0, head=HeadOptions()"
            )
        if not self.validation and self.evaluate != "last":
            raise ValueError("without validation there is no best epoch: evaluate='last'")
        if self.classes[1:2] != ("sadness",) or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must differ, the second be sadness: {self.classes}")
        if self.trained_from and (self.frozen or self.centre_loss):
            raise ValueError("trained_from goes with frozen=False and centre_loss=0 alone")
        if self.frozen or self.trained_from:
            if self.weights == "none":
                raise ValueError(
                    "what is not trained needs trained weights: weights='imagenet' or a file; "
                    "or train all of the network, with frozen=False"
                )
            object.__setattr__(self, "augment", None)
        return self

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return the settings that a run's `config.json` records, by whatever version.

        Raises:
            ValueError, FileNotFoundError: it is damaged or missing; one line that names it.
        """
        recorded = run.config
        try:
            return cls.model_validate(recorded, extra="ignore")
        except ValueError as error:
            raise ValueError(f"{run.path.name}/config.json: {error}") from None

    def record(self, devices: int) -> dict:
        """Return what `config.json` holds: the settings on so many devices, the variant, and of
        the manifest (`data`) 16 digits of its sha256.

        Raises:
            FileNotFoundError: there is no such manifest.
            ValueError: as `resolved`.
        """
        file = resolve(self.manifest)
        if not file.is_file():
            raise FileNotFoundError(f"{self.manifest}: no such manifest; notebook 01 writes one")
        data = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        fields = type(self).model_fields
        usual = {name for name in LATER if getattr(self, name) == fields[name].default}
        settings = self.resolved(devices).model_dump(mode="json", exclude=usual)
        return {**settings, "variant": self.variant, "data": data}

    def resolved(self, devices: int) -> Self:
        """Return what this means on so many devices, if `replicas` does not say how many.

        `learning_rate` is that of the whole batch then, `batch_size` a replica's part of it.

        Raises:
            ValueError: the global batch does not divide among the replicas.
        """
        replicas = self.replicas or devices
        whole = self.global_batch or self.batch_size * replicas
        if whole % replicas:
            raise ValueError(
                f"global_batch {whole} does not divide among {replicas} replicas; choose a "
                "multiple, or other replicas"
            )
        rate = self.learning_rate * (1 if self.global_batch else replicas)
        return self.replace(
            replicas=replicas, global_batch=whole, batch_size=whole // replicas, learning_rate=rate
        )

    @property
    def variant(self) -> str:
        """What sets this run's network apart in a table; seed, data and schedule aside."""
        network = f"k = {self.k}" if self.network == "gram" else self.network
        parts = [network, "frozen" if self.frozen else "fine-tuned"]
        parts += [f"above {self.trained_from}"] if self.trained_from else []
        parts += [f"centre_loss {self.centre_loss:g}"] if self.centre_loss else []
        parts += [f"{len(self.classes)} classes"] if len(self.classes) > 2 else []
        usual = dict(HeadOptions(momentum=self.head.momentum))
        changed = {name: value for name, value in self.head if value != usual[name]}
        return ", ".join(parts + [f"{name} {value}" for name, value in changed.items()])

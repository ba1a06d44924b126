"""What a run depends on, as one frozen value that checks itself."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from gramnb.backbones import BACKBONES
from gramnb.models import HeadOptions
from gramnb.runs import Run, resolve
from gramnb.settings import Settings

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
RandAugment = tuple[Count, Annotated[int, Field(ge=0, le=10)]]
# Settings that came later are recorded where they are not the default: older runs keep their names.
LATER = ("validation", "classes", "trained_from")


class TrainConfig(Settings):
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
        trained_from: layer whose cached feature map is read; the network above it trains with the
            head, without augmentation. Empty: all of it, or with `frozen` none.
        augment: RandAugment's (N, M), or None; a run on cached features has none.
        replicas: 0 means all visible GPUs (one CPU if there is none); n > 0 without GPUs means n
            logical CPU devices.
        evaluate: which epoch's weights are kept: "best" validation accuracy, or the "last".
        train_share: share of the training split that is used, drawn by the seed.
        fold: -1 uses the manifest's splits; f tests on fold f and validates on the one after it.
        validation: whether a fold validates; without one, which takes `evaluate` "last", all folds
            but the one tested on train the network.
        classes: what the network tells apart, sadness second. An image that is not sadness is of
            its `emotion`, or "others" where that is no class.
        centre_loss: weight of the contrastive-centre loss (`variants`) beside cross-entropy.
        head: the choices the paper leaves open.

    Raises:
        ValueError: a value out of range, in one line, before anything is built.
    """

    manifest: str = "runs/demo/manifest.parquet"
    k: Whole = 4
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    network: Literal["gram", "multilevel"] = "gram"
    backbone: Literal[*BACKBONES] = "EfficientNetV2B2"
    weights: str = ""
    taps: Annotated[
        tuple[str, ...], Strict(False)
    ] = ()  # a list, as JSON and YAML write it, will do
    image_size: Annotated[int, Field(ge=32)] = 256
    epochs: Count = 25
    batch_size: Count = 64
    global_batch: Whole = 0
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Amount = 0.0
    frozen: bool = False
    trained_from: str = ""
    augment: Annotated[RandAugment, Strict(False)] | None = (3, 7)
    replicas: Whole = 0
    evaluate: Literal["best", "last"] = "best"
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    fold: Annotated[int, Field(ge=-1)] = -1
    validation: bool = True
    classes: Annotated[tuple[str, ...], Strict(False)] = ("others", "sadness")
    centre_loss: Amount = 0.0
    head: HeadOptions = HeadOptions()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        other = self.backbone != "ResNet50" or self.k or self.frozen or self.centre_loss
        other = other or self.trained_from or len(self.classes) > 2
        if self.network == "multilevel" and (other or self.head != HeadOptions()):
            raise ValueError(
                "network 'multilevel' is ResNet50 with its own Gram matrices and head, trained "
                "whole: backbone='ResNet50', k=0, frozen=False, centre_loss=0, head=HeadOptions()"
            )
        if not self.validation and self.evaluate != "last":
            raise ValueError("without validation there is no best epoch: evaluate='last'")
        if self.classes[1:2] != ("sadness",) or len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f"classes must be different, the second of them sadness: {self.classes}"
            )
        if self.frozen and self.weights == "none":
            raise ValueError(
                "a frozen backbone needs trained weights: weights='none' would keep random ones; "
                "take weights='imagenet' or a file, or train all of it with frozen=False"
            )
        if self.trained_from and (self.frozen or self.centre_loss or self.weights == "none"):
            raise ValueError(
                "trained_from keeps trained weights below a layer and trains those above it: "
                "frozen=False, centre_loss=0, weights='imagenet' or a file"
            )
        if self.frozen or self.trained_from:
            object.__setattr__(self, "augment", None)
        return self

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return the settings that a run's `config.json` records, by whatever version.

        Raises:
            ValueError, FileNotFoundError: it is damaged or missing; one line that names it.
        """
        try:
            return cls.model_validate(run.config, extra="ignore")
        except ValueError as error:
            file = f"{run.path.name}/config.json"
            raise ValueError(f"{file}: {str(error).removeprefix(file + ': ')}") from None

    def record(self, devices: int) -> dict:
        """Return what `config.json` holds: these settings on so many devices, and their data.

        Beside the settings, `variant`, and `data`: 16 digits of the manifest's sha256.

        Raises:
            FileNotFoundError: there is no such manifest.
            ValueError: the global batch does not divide among the devices.
        """
        file = resolve(self.manifest)
        if not file.is_file():
            raise FileNotFoundError(f"{self.manifest}: no such manifest; notebook 01 writes one")
        data = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        usual = {
            name
            for name in LATER
            if getattr(self, name) == self.__class__.model_fields[name].default
        }
        settings = self.resolved(devices).model_dump(mode="json", exclude=usual)
        return {**settings, "variant": self.variant, "data": data}

    def resolved(self, devices: int) -> Self:
        """Return what this means on so many devices: nothing is left to the machine.

        `global_batch` is a number, `learning_rate` that of the whole batch, `batch_size` a
        replica's part of it. Where `replicas` is set already, that number stands.

        Raises:
            ValueError: the global batch does not divide among the replicas.
        """
        replicas = self.replicas or devices
        whole = self.global_batch or self.batch_size * replicas
        if whole % replicas:
            raise ValueError(
                f"global_batch {whole} does not divide among {replicas} replicas; choose a "
                "multiple, or set replicas to a number that divides it"
            )
        rate = self.learning_rate * (1 if self.global_batch else replicas)
        return self.replace(
            replicas=replicas, global_batch=whole, batch_size=whole // replicas, learning_rate=rate
        )

    @property
    def variant(self) -> str:
        """What sets this run's network apart in a table; seed, data and schedule aside."""
        parts = [f"k = {self.k}" if self.network == "gram" else self.network]
        parts += ["frozen" if self.frozen else "fine-tuned"]
        parts += [f"above {self.trained_from}"] if self.trained_from else []
        parts += [f"centre_loss {self.centre_loss:g}"] if self.centre_loss else []
        parts += [f"{len(self.classes)} classes"] if len(self.classes) > 2 else []
        usual = dict(HeadOptions(momentum=self.head.momentum))
        changed = {name: value for name, value in self.head if value != usual[name]}
        return ", ".join(parts + [f"{name} {value}" for name, value in changed.items()])

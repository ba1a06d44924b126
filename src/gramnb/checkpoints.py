"""Checkpoints of a run: one folder an epoch, renamed into place whole, the last one kept.

Each holds `state.keras` (model and optimizer), `best.keras` (the epoch that will be evaluated) and
`history.csv`. A process killed at any moment leaves either the old folder or the new one, so a run
goes on from the last epoch that finished.
"""

import os
import shutil
from pathlib import Path

import pandas as pd

from gramnb._keras import keras, load_model
from gramnb.runs import Run


def folder(run: Run, epoch: int) -> Path:
    """Return where the checkpoint of an epoch (counted from 1) stands."""
    return run.path / f"checkpoint-{epoch:03d}"


def last(run: Run) -> tuple[int, pd.DataFrame]:
    """Return the last finished epoch (0 if there is none) and the history up to it.

    Raises:
        ValueError: the checkpoint is damaged, or its history is not of its epoch.
    """
    finished = sorted(run.path.glob("checkpoint-[0-9]*"))
    if not finished:
        return 0, pd.DataFrame()
    try:
        epoch = int(finished[-1].name.split("-")[1])
        history = pd.read_csv(finished[-1] / "history.csv")
        if history["epoch"].tolist() != list(range(1, epoch + 1)):
            raise ValueError("its history is not that of its epochs")
        return epoch, history
    except (ValueError, KeyError, OSError) as error:
        raise _damaged(finished[-1], error) from None


def load(run: Run, epoch: int, name: str, compile: bool = False) -> keras.Model:
    """Return a model of an epoch's checkpoint.

    Raises:
        ValueError: the file is damaged or gone; one line with the way out.
    """
    try:
        return load_model(folder(run, epoch) / name, compile=compile)
    except ValueError as error:
        raise _damaged(folder(run, epoch), error) from None


def _damaged(checkpoint: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{checkpoint.parent.name}/{checkpoint.name}: damaged ({error}); remove the run's "
        "directory to train it anew"
    )


def chosen_epoch(history: pd.DataFrame, evaluate: str) -> int:
    """Return the epoch whose weights count: the first of best validation accuracy, or the last."""
    return int(history["val_accuracy"].idxmax()) + 1 if evaluate == "best" else len(history)


def save(run: Run, model: keras.Model, history: pd.DataFrame, evaluate: str) -> None:
    """Write the folder of the epoch that ends the history, then remove the one before it."""
    epoch = len(history)
    building = run.path / ".checkpoint"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    model.save(building / "state.keras")
    best = chosen_epoch(history, evaluate)
    source = building / "state.keras" if best == epoch else folder(run, epoch - 1) / "best.keras"
    os.link(source, building / "best.keras")
    history.to_csv(building / "history.csv", index=False)
    building.rename(folder(run, epoch))
    remove(run, keep=epoch)


def remove(run: Run, keep: int = 0) -> None:
    """Remove the run's checkpoints, but for the one of epoch `keep`."""
    for older in run.path.glob("checkpoint-[0-9]*"):
        if older != folder(run, keep):
            shutil.rmtree(older)

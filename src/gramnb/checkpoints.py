"""Checkpoints of a run: one folder an epoch, renamed into place whole, the last one kept.

Each holds `state.keras` (model and optimizer), `best.keras` (the epoch that will be evaluated) and
`history.csv`. A process killed at any moment leaves either the old folder or the new one, so a run
goes on from the last epoch that finished.
"""

import os
import shutil
from pathlib import Path

import pandas as pd

from gramnb._keras import keras
from gramnb.runs import Run


def folder(run: Run, epoch: int) -> Path:
    """Return where the checkpoint of an epoch (counted from 1) stands."""
    return run.path / f"checkpoint-{epoch:03d}"


def last(run: Run) -> tuple[int, pd.DataFrame]:
    """Return the last finished epoch (0 if there is none) and the history up to it."""
    finished = sorted(run.path.glob("checkpoint-[0-9]*"))
    if not finished:
        return 0, pd.DataFrame()
    return int(finished[-1].name.split("-")[1]), pd.read_csv(finished[-1] / "history.csv")


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

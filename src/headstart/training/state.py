"""Everything a fitted training is made of at the end of an epoch, on disk, so that it can go on from there.

One file: the model's variables (weights, statistics and the states of random generators), the optimizer's, the best
weights so far, and the rows of the history. Keras' own `BackupAndRestore` keeps the first two and neither the best
weights nor the patience of early stopping, so a training resumed by it ends differently.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from headstart.errors import RunError, storage_errors
from headstart.features.store import write_atomically

HINT = "Free some space there; `headstart train --resume` goes on from the last epoch that was kept."
"""What to do when an epoch cannot be written down."""

_PARTS = ("model", "optimizer", "best")


@dataclass(frozen=True)
class Plan:
    """How long a training goes on, and on what.

    Attributes:
        epochs: at most so many.
        patience: epochs without a better validation loss after which it stops.
        batch_size: pictures per step.
        pictures: the digest of the pictures, their labels and sides, in their order.
    """

    epochs: int
    patience: int
    batch_size: int
    pictures: str


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        rows: one per finished epoch: `epoch` from 1, `accuracy`, `loss`, `val_accuracy`, `val_loss`.
        best: the smallest validation loss so far.
        best_epoch: where it was, from 1.
        wait: epochs since then.
        finished: whether there is nothing left to do.
        plan: what it was begun with.
    """

    rows: list[dict[str, float]]
    best: float
    best_epoch: int
    wait: int
    finished: bool
    plan: Plan


@dataclass(frozen=True)
class State:
    """A training at the end of an epoch.

    Attributes:
        progress: how far it is.
        model: the model's variables, in its order.
        optimizer: the optimizer's variables, in its order.
        best: the model's weights as they were in the best epoch.
    """

    progress: Progress
    model: list[np.ndarray]
    optimizer: list[np.ndarray]
    best: list[np.ndarray]

    def write(self, file: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            StorageError: if the disk is full or cannot be written.
        """
        arrays = {
            f"{part}.{number}": np.array(array, order="C")
            for part in _PARTS
            for number, array in enumerate(getattr(self, part))
        }
        with storage_errors(file.parent, HINT):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, save(arrays, {"progress": json.dumps(asdict(self.progress))}))


def read_state(file: Path) -> State | None:
    """What was kept of a training; None if nothing was.

    Raises:
        RunError: if the file is damaged.
    """
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="numpy") as content:
            told = json.loads(content.metadata()["progress"])
            progress = Progress(**told | {"plan": Plan(**told["plan"])})
            names = list(content.keys())
            parts = [[content.get_tensor(name) for name in _in_order(names, part)] for part in _PARTS]
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{file} is damaged, so the training cannot go on from it. Remove it to repeat this part of the training."
        ) from error
    return State(progress, *parts)


def assign(variables: Iterable[Any], arrays: Sequence[np.ndarray], file: Path) -> None:
    """Give variables of a model or an optimizer the values that were kept.

    Raises:
        RunError: if they are not the same variables.
    """
    targets = list(variables)
    if [tuple(v.shape) for v in targets] != [array.shape for array in arrays]:
        raise RunError(f"{file} is from another network or headstart. Remove it to repeat this part of the training.")
    for variable, array in zip(targets, arrays, strict=True):
        variable.assign(array)


def values(variables: Iterable[Any]) -> list[np.ndarray]:
    """The values of variables, copied."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _in_order(names: Iterable[str], part: str) -> list[str]:
    return sorted((name for name in names if name.startswith(f"{part}.")), key=lambda name: int(name.split(".")[1]))

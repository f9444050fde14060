"""What happens between epochs, beside what Keras' own callbacks do."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from headstart.distributed.data_parallel import by_itself
from headstart.errors import RecipeError, require_free_space, storage_errors
from headstart.progress import Advance
from headstart.training.batches import Batches
from headstart.training.state import HINT, Plan, Progress, State, values

_HDF5_OVERHEAD = 4096  # what a file takes beside its arrays, for each of them
_EVENTS = 1 << 16  # more than an epoch's events


class StopAskedError(Exception):
    """A person has asked the training to stop."""


class Turn(keras.callbacks.Callback):
    """Shuffles the batches for each epoch, moves the progress bar, and stops when a person asks for it."""

    def __init__(self, train: Batches, advance: Advance, say: Callable[[str], None], asked_to_stop: Callable[[], bool]):
        super().__init__()
        self._train, self._advance, self._say, self._asked_to_stop = train, advance, say, asked_to_stop
        self._now, self._cut_short = "", False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw the order of the epoch."""
        self._train.begin(epoch)
        self._now = f"epoch {epoch + 1}/{self.params['epochs']}"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move the bar by one step."""
        self._advance(1)
        self._say(f"{self._now}  {_figures(logs or {}, ('loss', 'accuracy'))}")
        if self._asked_to_stop():
            self._cut_short = self.model.stop_training = True

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop in the middle of a validation, too."""
        if self._asked_to_stop():
            self._cut_short = self.model.stop_training = self.model.stop_evaluating = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Let nobody take an epoch that was cut short for a whole one.

        Raising any earlier would tear TensorFlow's iterators down while they are at work.
        """
        if self._cut_short:
            raise StopAskedError


def _figures(logs: dict[str, Any], names: tuple[str, ...]) -> str:
    return "  ".join(f"{name} {float(logs[name]):.4f}" for name in names if name in logs)


class Room(keras.callbacks.Callback):
    """Sees that there is room before anything is written by libraries that cannot do with a full disk.

    HDF5 takes the process along, TensorFlow says that a resource is exhausted, as it does of memory.

    Args:
        checkpoints: where Keras writes weights.
        logs: where TensorFlow writes its events.
    """

    def __init__(self, checkpoints: Path, logs: Path):
        super().__init__()
        self._checkpoints, self._logs = checkpoints, logs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raise a `StorageError` where there is not."""
        size = sum(array.nbytes + _HDF5_OVERHEAD for array in values(self.model.weights))
        for folder, needed in ((self._checkpoints, size), (self._logs, _EVENTS)):
            with storage_errors(folder, HINT):
                require_free_space(folder, needed)


class Checkpoint(keras.callbacks.ModelCheckpoint):
    """Keras' own, written by one process of several."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the weights where they are better."""
        with by_itself():
            super().on_epoch_end(epoch, logs)


class Memory(keras.callbacks.Callback):
    """Keeps the whole state of the training at the end of every epoch, and begins with what was kept.

    It comes last of all callbacks, so that it sees what the others have decided.

    Args:
        file: where the state is kept; None where another process keeps it.
        state: what was kept before; None at the very beginning.
        stop: the early stopping, which is part of the state.
        best: the checkpoint, which is part of it too.
        plan: how long it goes on, and on what.
        on_epoch: told of all rows so far.
    """

    def __init__(
        self,
        file: Path | None,
        state: State | None,
        stop: keras.callbacks.EarlyStopping,
        best: keras.callbacks.ModelCheckpoint,
        plan: Plan,
        on_epoch: Callable[[list[dict[str, float]]], None],
    ):
        super().__init__()
        self._file, self._state, self._stop, self._best = file, state, stop, best
        self._plan, self._on_epoch = plan, on_epoch
        self.rows: list[dict[str, float]] = list(state.progress.rows) if state else []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Let early stopping and checkpoint go on from what was kept."""
        if self._state is None:
            return
        progress = self._state.progress
        self._stop.best, self._stop.best_epoch, self._stop.wait = progress.best, progress.best_epoch - 1, progress.wait
        self._stop.best_weights = self._state.best
        self._best.best = progress.best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write everything down."""
        if not math.isfinite(self._stop.best):
            raise RecipeError(
                [f"the validation loss is no number any more in epoch {epoch + 1}; try a lower learning rate."]
            )
        figures = {name: float(value) for name, value in sorted((logs or {}).items()) if name != "learning_rate"}
        self.rows.append({"epoch": epoch + 1, **figures})
        if self._file is None:
            return
        finished = self.model.stop_training or epoch + 1 == self.params["epochs"]
        progress = Progress(
            self.rows, float(self._stop.best), self._stop.best_epoch + 1, self._stop.wait, finished, self._plan
        )
        state = State(
            progress, values(self.model.variables), values(self.model.optimizer.variables), self._stop.best_weights
        )
        state.write(self._file)
        self._on_epoch(self.rows)

"""Training the trainable half by Keras, on batches from the store or from the stream."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import keras

from headstart.distributed.data_parallel import settle
from headstart.distributed.processes import ALONE, Team
from headstart.errors import RunError, storage_errors
from headstart.progress import training_bar
from headstart.training.batches import Batches
from headstart.training.callbacks import Checkpoint, Memory, Room, StopAskedError, Turn
from headstart.training.objective import Objective
from headstart.training.state import Plan, Progress, State, assign, read_state

CHECKPOINT = "{epoch:02d}-{val_loss:.4f}.weights.h5"
"""What the best weights so far of the trainable half are called; `headstart.split(run.model)` has that half."""

_LOG_HINT = "Give another --tensorboard folder, or make room there."


@dataclass(frozen=True)
class Places:
    """Where a training leaves its traces.

    Attributes:
        state: the file it can go on from.
        checkpoints: folder of the best weights so far.
        tensorboard: folder of TensorBoard's logs.
    """

    state: Path
    checkpoints: Path
    tensorboard: Path

    def prepare(self) -> None:
        """Make sure, before anything is trained, that all of it can be written.

        Raises:
            StorageError: if it cannot.
        """
        for folder in (self.state.parent, self.checkpoints, self.tensorboard):
            with storage_errors(folder, _LOG_HINT):
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / ".probe"
                probe.write_bytes(b"x")
                probe.unlink()


@dataclass(frozen=True)
class Fitted:
    """What came out.

    Attributes:
        rows: one per epoch, see `Progress`.
        best_epoch: the epoch whose weights the model has now, from 1.
        interrupted: whether a person stopped it before it was done.
    """

    rows: list[dict[str, float]]
    best_epoch: int
    interrupted: bool


def fit(
    model: keras.Model,
    objective: Objective,
    optimizer: keras.optimizers.Optimizer,
    train: Batches,
    val: Batches,
    plan: Plan,
    places: Places,
    label: str = "training",
    show: bool = False,
    on_epoch: Callable[[list[dict[str, float]]], None] = lambda rows: None,
    team: Team = ALONE,
) -> Fitted:
    """Train until the validation loss stops falling, and keep the best epoch's weights.

    The state is kept at the end of every epoch. If `places.state` is there already, the training goes on from it and
    ends as it would have ended without the interruption. Ctrl-C ends it after the step that is being computed, with
    the weights of the best epoch so far; Ctrl-C before the first epoch has ended, or a second time, is what it
    usually is.

    Args:
        model: from frontier tensors to probabilities; its weights are changed.
        objective: what is minimised.
        optimizer: not yet used.
        train: what it learns from.
        val: what decides when to stop.
        plan: how long it goes on, and on what.
        places: where the state, checkpoints and logs go.
        label: what the progress bar calls it.
        show: whether to draw one.
        on_epoch: told of all rows after every epoch.
        team: the processes that train together; the first one writes, and only there `on_epoch` is told.

    Raises:
        RunError: if the state is damaged, or that of a training on other pictures.
        LostProcessError: if another process of the team has ended.
        StorageError: if something cannot be written.
        KeyboardInterrupt: if it is interrupted before there is anything to keep.
    """
    state = _read_together(places.state, team)
    if state is not None and state.progress.plan != plan:
        raise RunError(
            f"the pictures are not those that {places.state.stem} was interrupted on. "
            f"Remove {places.state} to begin it again with those that are there now."
        )
    if state is not None and state.progress.finished:
        assign(model.variables, state.model, places.state)  # random generators go on from where they were, too
        model.set_weights(state.best)
        return _fitted(state.progress, interrupted=False)
    optimizer.build(model.trainable_variables)
    if state is not None:
        assign(model.variables, state.model, places.state)
        assign(optimizer.variables, state.optimizer, places.state)
    settle(model, optimizer, team)
    model.compile(optimizer, objective.loss, metrics=[objective.metric])
    stop = keras.callbacks.EarlyStopping("val_loss", patience=plan.patience, restore_best_weights=True)
    best = Checkpoint(
        str(places.checkpoints / CHECKPOINT), monitor="val_loss", save_best_only=True, save_weights_only=True
    )
    begun = len(state.progress.rows) if state else 0
    with training_bar(label, len(train) * plan.epochs, show) as (advance, say), ctrl_c() as asked_here:

        def asked_to_stop() -> bool:
            return team.any(asked_here())  # or one of them would wait for a step that another one does not take

        advance(begun * len(train))
        memory = Memory(places.state if team.is_first else None, state, stop, best, plan, on_epoch)
        turn, room = Turn(train, advance, say, asked_to_stop), Room(places.checkpoints, places.tensorboard)
        writing = [room, best, *_tensorboard(places.tensorboard)] if team.is_first else []
        train.begin(begun)
        try:
            with team.not_alone():
                model.fit(
                    train,
                    validation_data=val,
                    initial_epoch=begun,
                    epochs=plan.epochs,
                    verbose=0,
                    shuffle=False,
                    callbacks=[turn, stop, *writing, memory],
                )
            interrupted = asked_to_stop()
        except StopAskedError:
            if not memory.rows:
                raise KeyboardInterrupt from None
            model.set_weights(stop.best_weights)
            interrupted = True
        except Exception as error:
            # What goes wrong while a batch is made comes back from TensorFlow as an error of its own.
            if cause := train.error or val.error:
                raise cause from error
            raise
    return Fitted(memory.rows, int(stop.best_epoch) + 1, interrupted)


def _read_together(file: Path, team: Team) -> State | None:
    """What was kept of a training, the same in all processes."""
    with team.together():
        state = read_state(file)
    epochs = team.of_all(None if state is None else len(state.progress.rows))
    with team.together():
        if any(found != epochs[0] for found in epochs):
            raise RunError(f"{team.name} does not see what the others see in {file}: RUN has to be a shared folder.")
    return state


def _fitted(progress: Progress, interrupted: bool) -> Fitted:
    return Fitted(progress.rows, progress.best_epoch, interrupted)


def _tensorboard(folder: Path) -> list[keras.callbacks.Callback]:
    if keras.config.backend() != "tensorflow":
        return []  # TensorFlow writes them
    return [keras.callbacks.TensorBoard(str(folder), write_graph=False)]


@contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask to stop instead of tearing everything down; yields whether it was asked."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():  # only there can signals be received
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)

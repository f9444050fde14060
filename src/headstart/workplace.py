"""RUN while it is being trained: who works there, what an interrupted training goes on from, how it becomes a RUN.

    RUN/training/recipe.json         every choice, so that `--resume` needs no other
    RUN/training/STAGE.safetensors   the state of each stage at the end of its last epoch
    RUN/training/lock                held while somebody works there

What is trained is written beside its place and renamed into it, `bundle.json` last: without that it is no RUN, so a
RUN is there whole or not at all. `training/` goes when the training is finished.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.errors import RecipeError, RunError, storage_errors
from headstart.objects.addresses import absolute, require_local
from headstart.recipe import PATHS, Recipe

WORK = "training"
"""Folder in RUN for what an unfinished training goes on from."""

OUT_HINT = "Free some space there, or give another --out. The store keeps what was computed."

_RECIPE = "recipe.json"
_BUNDLE = "bundle.json"
_NO_PLACES = ("imagenet", "none")  # what stands where the path of a file may stand


class Workplace:
    """A RUN folder in which one training at a time works.

    Attributes:
        path: the folder, with links followed.
    """

    def __init__(self, path: Path):
        self.path = path
        self._work = path / WORK

    def state(self) -> bool:
        """Whether a stage has left a state to go on from."""
        return any(self._work.glob("*.safetensors"))

    @contextmanager
    def new_run(self, finished: bool) -> Iterator[Path]:
        """A temporary folder whose content becomes that of RUN when the block ends well, and else is removed.

        Args:
            finished: whether nothing is left to resume.

        Raises:
            StorageError: if it cannot be written.
        """
        with storage_errors(self.path, OUT_HINT):
            staging = Path(tempfile.mkdtemp(dir=self.path, prefix=".unfinished-"))
            try:
                yield staging
                with suppress(FileNotFoundError):
                    (self.path / _BUNDLE).unlink()  # of what was interrupted before
                for entry in sorted(staging.iterdir(), key=lambda entry: entry.name == _BUNDLE):
                    _replace(entry, self.path / entry.name)
                if finished:
                    (self._work / _RECIPE).unlink()  # without it there is nothing to resume
                    shutil.rmtree(self._work)
            finally:
                shutil.rmtree(staging, ignore_errors=True)


def check_place(path: str | os.PathLike[str], data: str | os.PathLike[str]) -> Path:
    """Make sure, before anything is computed, that a RUN can be written to a place.

    Args:
        path: the place.
        data: the folder of pictures, which must not come to hold the RUN.

    Returns:
        The place, with links followed.

    Raises:
        RunError: if it is a file, a folder that holds something else than an unfinished training, or inside the data.
        StorageError: if nothing can be written there.
    """
    require_local(path, "what is written")
    run = Path(path).resolve()
    if run.is_dir() and {entry.name for entry in run.iterdir()} - {WORK} and not (run / WORK / _RECIPE).is_file():
        raise RunError(f"{path} exists and is not empty. Give another --out, or remove it first.")
    if run.exists() and not run.is_dir():
        raise RunError(f"{path} exists and is a file. Give another --out.")
    if run.is_relative_to(Path(data).resolve()):
        raise RunError(f"{path} is inside {data}, where it would be taken for pictures. Give another --out.")
    with storage_errors(run, OUT_HINT):
        run.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(dir=run.parent if not run.exists() else run))
    return run


def check_folder(path: str | os.PathLike[str], data: str | os.PathLike[str], ours: Collection[str]) -> Path:
    """Make sure, before anything is computed, that files can be written to a folder. Older ones are replaced.

    Args:
        path: the folder.
        data: the folder of pictures, which must not come to hold it.
        ours: the names of the files.

    Raises:
        RunError: if it is a file, a folder that holds something else, or inside the data.
        StorageError: if nothing can be written there.
    """
    folder = Path(path)
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if there and there <= set(ours):
        return folder.resolve()
    return check_place(folder, data)


@contextmanager
def working_in(run: Path, recipe: Recipe) -> Iterator[Workplace]:
    """Work on a training in a place that was checked; go on if the same one was interrupted there.

    Where an error ends the block before anything has come of it, everything is left as it was found.

    Raises:
        RunError: if an unfinished training with other choices is there, or somebody else works there.
        StorageError: if it cannot be written.
    """
    place = Workplace(run)
    new, begun = not run.exists(), (run / WORK / _RECIPE).is_file()
    with storage_errors(run, OUT_HINT):
        (run / WORK).mkdir(parents=True, exist_ok=True)
    with _locked(run):
        _remove_leftovers(run)
        _agree(run, recipe)
        try:
            yield place
        except KeyboardInterrupt:
            raise  # whoever interrupts may want to go on
        except BaseException:
            if not begun and not place.state():
                _leave_nothing(run, new)
            raise


def unfinished(path: str | os.PathLike[str]) -> Recipe:
    """The recipe of the unfinished training in a folder.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    run = Path(path)
    file = run / WORK / _RECIPE
    if not file.is_file():
        if (run / _BUNDLE).is_file():
            raise RunError(f"{path} is finished; there is nothing to resume. To train it further: --from {path}.")
        raise RunError(f"there is no unfinished training in {path}. Give the --out of the one that was interrupted.")
    try:
        return Recipe(**{**json.loads(file.read_text(encoding="utf-8")), "out": str(path)})
    except (ValueError, TypeError, RecipeError, RecursionError) as error:
        raise RunError(f"{file} is damaged. Remove {path} and train again; the store keeps the features.") from error


def _agree(run: Path, recipe: Recipe) -> None:
    """Write the recipe down, or see that it is the one that was begun here."""
    file = run / WORK / _RECIPE
    asked = {name: value for name, value in _absolute(recipe).to_dict().items() if name != "out"}
    if file.is_file():
        begun = {name: value for name, value in unfinished(run).to_dict().items() if name != "out"}
        other = [f"{name} was {begun[name]!r}, not {asked[name]!r}" for name in asked if begun[name] != asked[name]]
        if other:
            raise RunError(
                f"{run} holds an unfinished training with other choices: {'; '.join(other)}. "
                f"Go on with headstart train --resume {run}, give another --out, or remove it."
            )
        return
    with storage_errors(run, OUT_HINT):
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asked, indent=1), encoding="utf-8")
        os.replace(temporary, file)


def _absolute(recipe: Recipe) -> Recipe:
    """The recipe with paths that mean the same wherever one stands."""
    places: Mapping[str, Any] = {
        name: absolute(value)
        for name in PATHS
        if isinstance(value := getattr(recipe, name), str) and not (name == "weights" and value in _NO_PLACES)
    }
    return replace(recipe, **places)


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """The operating system lets go of the lock when the process ends, however that comes about."""
    with storage_errors(run, OUT_HINT):
        file = open(run / WORK / "lock", "w")  # noqa: SIM115 what goes wrong while it is held has other reasons
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise RunError(f"another training is at work in {run}. Wait for it, or give another --out.") from None
        yield


def _remove_leftovers(run: Path) -> None:
    for folder in run.glob(".unfinished-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _leave_nothing(run: Path, new: bool) -> None:
    if new:
        shutil.rmtree(run, ignore_errors=True)
    for name in (WORK, "checkpoints", "tensorboard"):
        shutil.rmtree(run / name, ignore_errors=True)


def _replace(entry: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(entry, target)

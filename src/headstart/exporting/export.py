"""Exporting, read aloud: check, convert, say how it is used, try it in a new process, give it its name."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.errors import DataError, InputError, RunError, require_free_space, storage_errors
from headstart.exporting.comparison import Accuracy, Compared, Jury, TooMuchLostError
from headstart.exporting.formats import ExportPrecision, Format, find_formats
from headstart.exporting.of_openvino import as_texts, write_openvino
from headstart.exporting.pictures import CALIBRATION, find_on, spread, write_pixels
from headstart.exporting.quietly import kept_quiet
from headstart.exporting.usage import labels_text, write_usage
from headstart.features.keys import file_digest
from headstart.objects.addresses import require_local
from headstart.progress import waiting
from headstart.run_files import MODEL, damaged

log = logging.getLogger(__name__)

MAX_DROP = 1.5
"""Percentage points of accuracy that int8 may cost where nothing else is said."""

_LEAST_CALIBRATION = 16
_HINT = "Free some space there, or give another --out."
_UNFINISHED = ".unfinished-"
_A_DAY = 24 * 60 * 60
_ROOM = 8  # times the size of the model, for what is made on the way


@dataclass(frozen=True)
class Exported:
    """One export.

    Attributes:
        format: its name.
        precision: of its weights.
        folder: where it is.
        file: the model in it, a file or a folder.
        bytes: how large that is.
        compared: how it compares with the RUN.
        accuracy: what int8 costs; None for other precisions.
        seconds: how long it took.
    """

    format: str
    precision: ExportPrecision
    folder: str
    file: str
    bytes: int
    compared: Compared
    accuracy: Accuracy | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        accuracy = self.accuracy and vars(self.accuracy) | {"drop": self.accuracy.drop}
        return {**vars(self), "compared": self.compared.to_dict(), "accuracy": accuracy}


def export(
    run: Run,
    formats: Sequence[str],
    out: str | os.PathLike[str] | None = None,
    precision: ExportPrecision = "f32",
    data: str | None = None,
    max_drop: float = MAX_DROP,
    force: bool = False,
    show: bool = False,
) -> list[Exported]:
    """Write a RUN in other formats, each of which is loaded again in a new process and compared before it is there.

    Args:
        run: the RUN.
        formats: names in `headstart.exporting.formats.FORMATS`.
        out: where each gets a folder of its own, `onnx` or `onnx-f16`; None for `export` in the RUN.
        precision: of the weights.
        data: where the pictures of the RUN are now; None for where they were in training.
        max_drop: percentage points of accuracy on validation pictures that int8 may cost.
        force: whether exports that are there are replaced.
        show: whether to draw progress bars.

    Raises:
        InputError: if anything that was given cannot be used, or int8 costs more than it may.
        MissingExtraError: if what writes a format is not installed.
        HeadstartError: if a network cannot be converted, or an export says something else than the RUN.
    """
    chosen = find_formats(formats, precision)
    if not max_drop >= 0:
        raise InputError(f"a drop of at most {max_drop:g} points cannot be asked for; give 0 or more.")
    require_local(out or run.path, "an export")
    parent = Path(out) if out is not None else run.path / "export"
    targets = {form.name: parent / _folder_name(form, precision) for form in chosen}
    for target in targets.values():
        _check_target(target, force)
    with storage_errors(parent, _HINT), _workshop(parent, run) as work:
        maker = _Maker(run, work, precision, data, show)
        return [maker.make(form, targets[form.name], max_drop) for form in chosen]


def _folder_name(form: Format, precision: ExportPrecision) -> str:
    return form.name if precision == "f32" else f"{form.name}-{precision}"


def _check_target(target: Path, force: bool) -> None:
    if target.exists() and not (force and target.is_dir() and (target / "export.json").exists()):
        hint = "Give another --out, or --force to replace it." if not force else "It is no export; give another --out."
        raise RunError(f"{target} exists. {hint}")


@contextmanager
def _workshop(parent: Path, run: Run) -> Iterator[Path]:
    """A folder beside the exports, gone whatever happens."""
    try:
        size = (run.path / MODEL).stat().st_size
    except OSError:
        raise damaged(run.path / MODEL) from None
    is_new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    work = Path(tempfile.mkdtemp(dir=parent, prefix=_UNFINISHED))
    try:
        require_free_space(parent, _ROOM * size)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if is_new and not any(parent.iterdir()):
            parent.rmdir()


def _remove_leftovers(parent: Path) -> None:
    """What killed exports have left behind. Younger ones may be of an export that is at work now."""
    for folder in parent.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):  # its owner may just have removed it
            if time.time() - folder.stat().st_mtime > _A_DAY:
                shutil.rmtree(folder, ignore_errors=True)


class _Maker:
    """Makes exports of one RUN, in one precision; what several of them need is made once."""

    def __init__(self, run: Run, work: Path, precision: ExportPrecision, data: str | None, show: bool):
        self._run = run
        self._work = work
        self._precision = precision
        self._show = show
        self._source: Any = None
        self._data = data
        self._kept: np.ndarray | None = None
        with waiting("asking the RUN", show):
            self._jury = Jury(run, work, data)
        if precision == "int8":
            self._require_pictures()

    def make(self, form: Format, target: Path, max_drop: float) -> Exported:
        """Make one export, the first one that is good enough.

        Raises:
            HeadstartError: if there is none.
        """
        spared = form.spared if self._precision == "int8" else (0.0,)
        for share in spared[:-1]:
            try:
                return self._try(form, target, max_drop, share)
            except TooMuchLostError as error:
                shutil.rmtree(self._work / "export")
                log.warning(
                    "%s One more time, with half of the layers left as in f16.",
                    str(error).partition("; at most")[0] + ".",
                )
        return self._try(form, target, max_drop, spared[-1])

    def _try(self, form: Format, target: Path, max_drop: float, spared: float) -> Exported:
        started = time.perf_counter()
        folder = self._work / "export"
        folder.mkdir()
        with waiting(f"converting to {form.name}", self._show):
            self._write(form, folder / form.file, spared)
        about = self._about(form, folder) | {"spared": spared}
        write_usage(folder, form, about)
        with waiting(f"trying {form.name} in a new process", self._show):
            compared = self._jury.compare(folder, form, self._precision)
        accuracy = self._jury.judge(folder, max_drop, self._show) if self._precision == "int8" else None
        seconds = time.perf_counter() - started
        size = sum(file["bytes"] for file in about["digests"].values())
        done = Exported(form.name, self._precision, str(target), form.file, size, compared, accuracy, seconds)
        write_usage(folder, form, about | {name: done.to_dict()[name] for name in ("compared", "accuracy", "seconds")})
        _put(folder, target, self._work)
        return done

    def _write(self, form: Format, file: Path, spared: float) -> None:
        """Write the model in a format."""
        labels = as_texts(self._inside())
        if form.name == "openvino":
            with kept_quiet(self._work / "log.txt"):
                write_openvino(self._run, file, self._precision, labels, self._calibration(), spared)
            return
        if form.name == "keras":
            _copy_model(self._run, file)
            return
        from headstart.exporting.of_tensorflow import Source

        with kept_quiet(self._work / "log.txt"):
            self._source = self._source or Source(self._run, self._work)
            if form.name == "saved_model":
                shutil.copytree(self._source.saved_model, file)
            elif form.name == "onnx":
                from headstart.exporting.of_onnx import write_onnx

                write_onnx(self._source.for_converters, file, self._precision, labels)
            else:
                from headstart.exporting.of_litert import write_litert

                texts = labels_text(list(self._run.classes))
                write_litert(self._source, file, self._precision, texts, self._calibration(), self._work)

    def _inside(self) -> dict[str, Any]:
        """What an export says of itself inside the model, too."""
        return {
            "headstart": version("headstart"),
            "labels": list(self._run.classes),
            "decode": self._run.decode_recipe.to_dict(),
            "input": "uint8 pixels (n, height, width, 3), RGB, 0-255",
            "output": "float32 probabilities (n, classes)",
        }

    def _about(self, form: Format, folder: Path) -> dict[str, Any]:
        """What is known of an export before it is tried."""
        about, paths = self._run.about, sorted(path for path in folder.rglob("*") if path.is_file())
        digests = {
            path.relative_to(folder).as_posix(): {"digest": file_digest(path), "bytes": path.stat().st_size}
            for path in paths
        }
        of_run = {
            "model": about["digests"][MODEL],
            "dataset": about.get("dataset"),
            "backbone": about.get("recipe", {}).get("backbone"),
            "head": about["head"],
            "created": about.get("created"),
        }
        return {
            **self._inside(),
            "format": form.name,
            "precision": self._precision,
            "file": form.file,
            "install": f"pip install {form.install} numpy pillow",
            "run": of_run,
            "digests": digests,
            "calibration_pictures": None if self._kept is None else len(self._kept),
        }

    def _require_pictures(self) -> None:
        """Make sure that there is what int8 needs, before anything is converted."""
        calibration = self._calibration()
        if calibration is None:
            raise DataError(
                f"int8 is calibrated on pictures that {self._run.path} has learned from, at least "
                f"{_LEAST_CALIBRATION}, and fewer are where they were. Give --data, or take f16."
            )
        if not self._jury.has_validation:
            raise DataError(f"none of the validation pictures of {self._run.path} is where it was. Give --data.")

    def _calibration(self) -> np.ndarray | None:
        """Pixels of pictures that the RUN has learned from, evenly over all; for int8 alone, None for too few."""
        if self._precision != "int8" or self._kept is not None:
            return self._kept
        found = spread(find_on(self._run, "train", self._data), CALIBRATION)
        if len(found) < _LEAST_CALIBRATION:
            return None
        file = self._work / "calibration.npy"
        kept = write_pixels(file, found, self._run.decode_recipe, self._show)
        pixels: np.ndarray = np.load(file, mmap_mode="r")
        self._kept = pixels[: len(kept)] if len(kept) >= _LEAST_CALIBRATION else None
        return self._kept


def _copy_model(run: Run, file: Path) -> None:
    shutil.copyfile(run.path / MODEL, file)
    if file_digest(file) != run.about["digests"][MODEL]:
        raise damaged(run.path / MODEL)


def _put(folder: Path, target: Path, work: Path) -> None:
    """Give a finished export its name; one that is there goes once the new one has it."""
    if target.exists():
        old = work / f"old-{target.name}"
        os.rename(target, old)
        try:
            os.rename(folder, target)
        except OSError:
            os.rename(old, target)
            raise
        return
    os.rename(folder, target)

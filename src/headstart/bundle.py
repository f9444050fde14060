"""What a training leaves behind: RUN, a folder that can be evaluated, used and moved anywhere.

    RUN/model.keras         the whole classifier, for any Keras: RGB pixels 0-255 in, probabilities out
    RUN/runtime/            the same in two halves for OpenVINO; what headstart itself runs
    RUN/bundle.json         class names, decoding, precision, provenance, digests
    RUN/metrics.json        the figures on the validation pictures
    RUN/history.csv         training, row by row
    RUN/splits.csv          every picture: path, label, side, digest
    RUN/predictions.csv     the probabilities of every validation picture, by path
    RUN/quarantine.csv      the files that were left out, and why

    RUN/checkpoints/        the best weights of each stage that was fitted
    RUN/tensorboard/        its logs
    RUN/training/           what an unfinished training goes on from, see `headstart.workplace`

Using a RUN needs neither Keras nor TensorFlow as long as `runtime/` and OpenVINO are there; else Keras runs it.
"""

import csv
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from headstart.errors import DataError, RunError, nearest
from headstart.evaluation.evaluate import Figures, figures, of_both_classes
from headstart.features.extract import in_batches, load_pictures
from headstart.features.keys import file_digest
from headstart.features.runtime import BATCH, KerasRuntime, OpenVINORuntime, PixelsRuntime, Precision, Runtime
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Listing, Picture, Quarantined
from headstart.images.sources import list_any, list_for_evaluation
from headstart.loading import has_openvino, is_installed, load_keras, load_openvino
from headstart.progress import bar
from headstart.recipe import Fit, Output
from headstart.texts import inert

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

FORMAT = 1
"""Raise this when the files in a RUN change their meaning."""

MODEL = "model.keras"
FROZEN = "runtime/frozen.xml"
TRAINABLE = "runtime/trainable.xml"

_LARGEST_SIDE = 1 << 14
_AGAIN = "Train it again, or copy the whole folder once more."
_ODD_NAMES = "surrogateescape"  # names on disk need not be text; they are written down byte for byte


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture.

    Attributes:
        path: the picture, as it was given.
        label: the most probable class.
        probability: its probability, 0 to 1.
        probabilities: of every class, by name, the most probable first.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """How a classifier fares on labelled pictures.

    Attributes:
        figures: accuracy, loss and the rest.
        pictures: those that could be decoded.
        probabilities: float32 `(pictures, classes)`, in the order of the RUN's classes.
        quarantined: the files that were left out, and why.
    """

    figures: Figures
    pictures: list[Picture]
    probabilities: np.ndarray
    quarantined: list[Quarantined]


class Run:
    """A RUN folder that is ready to be used.

    Args:
        path: the folder.

    Raises:
        RunError: if there is no RUN there, or it is damaged or from a newer headstart.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.about = _read_about(self.path)
        if not _is_sound(self.about):
            raise _damaged(self.path / "bundle.json")
        self.classes: tuple[str, ...] = tuple(self.about["classes"])
        self.decode_recipe = DecodeRecipe(**self.about["decode"])
        self.precision: Precision = self.about["precision"]
        self._single: bool = self.about["output"] == "sigmoid"
        self._runtimes: dict[int, tuple[Runtime, Runtime]] = {}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The figures that were reported when it was trained.

        Raises:
            RunError: if they are damaged.
        """
        try:
            return _read_json(self.path / "metrics.json")
        except (OSError, ValueError):
            raise _damaged(self.path / "metrics.json") from None

    @cached_property
    def model(self) -> "keras.Model":
        """The classifier as a plain Keras model.

        Takes RGB pixels 0-255, `(batch, height, width, 3)`, gives probabilities `(batch, classes)`.

        Raises:
            MissingExtraError: if Keras is not installed.
        """
        load_keras("the Keras model of a RUN")
        import keras

        return keras.saving.load_model(self._check(MODEL), safe_mode=True)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Classify pictures that are already decoded.

        Args:
            pixels: uint8 RGB `(pictures, height, width, 3)` of the size in `decode_recipe`.

        Returns:
            float32 `(pictures, classes)`; rows sum to one.

        Raises:
            DataError: if the pixels have another type or size, or there are none.
        """
        wanted = (self.decode_recipe.height, self.decode_recipe.width, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted or not len(pixels):
            raise DataError(f"pixels are {pixels.dtype} {pixels.shape}; uint8 (pictures, *{wanted}) are needed.")
        return self._run(pixels, len(pixels))

    def predict(self, paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Prediction]:
        """Classify picture files and all pictures in folders.

        Files that cannot be decoded are left out; use `stream` to learn of them.

        Raises:
            DataError: if there is no such file or folder.
        """
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        found = self.stream([picture.path for picture in list_any(given)])
        return [item for item in found if isinstance(item, Prediction)]

    def stream(self, paths: Sequence[str]) -> Iterator[Prediction | Quarantined]:
        """Classify picture files one batch at a time, in order; a file that cannot be decoded gives its reason."""
        for path, row in self._classify(paths):
            yield row if isinstance(row, Quarantined) else self._prediction(path, row)

    def evaluate(
        self, data: str | os.PathLike[str] | Listing, show: bool = False, label_pattern: str | None = None
    ) -> Evaluation:
        """Classify labelled pictures and compare.

        Args:
            data: a folder of class folders or a table (see `list_for_evaluation`), or what was found in one. The
                classes must be classes of this RUN.
            show: whether to draw a progress bar.
            label_pattern: how the label stands in file names, where neither folders nor a table say it.

        Raises:
            DataError: if a class is unknown to the RUN, or no picture can be decoded.
        """
        listing = data if isinstance(data, Listing) else list_for_evaluation(data, label_pattern)
        self._refuse_unknown(listing.classes)
        by_path = {picture.path: picture for picture in listing.pictures}
        pictures: list[Picture] = []
        rows: list[np.ndarray] = []
        quarantined: list[Quarantined] = []
        with bar("evaluating", len(by_path), "pictures", show) as advance:
            for path, row in self._classify(list(by_path)):
                if isinstance(row, Quarantined):
                    quarantined.append(row)
                else:
                    pictures.append(by_path[path])
                    rows.append(row)
                advance(1)
        if not rows:
            raise DataError(f"none of the {len(by_path)} files in {listing.root} is a picture that can be decoded.")
        probabilities = np.stack(rows)
        labels = np.array([self.classes.index(str(picture.label)) for picture in pictures])
        return Evaluation(figures(probabilities, labels, self.classes), pictures, probabilities, quarantined)

    def _classify(self, paths: Sequence[str]) -> Iterator[tuple[str, np.ndarray | Quarantined]]:
        """The probabilities of each picture, in the order of the classes."""
        for batch in in_batches(load_pictures(paths, self.decode_recipe)):
            good = [content for _, content in batch if not isinstance(content, Quarantined)]
            rows = iter(self._run(np.stack(good), len(paths)) if good else ())
            for path, content in batch:
                yield path, content if isinstance(content, Quarantined) else next(rows)

    def _run(self, pixels: np.ndarray, pictures: int) -> np.ndarray:
        frozen, trainable = self._load_runtime(pictures)
        try:
            found = trainable(*frozen(pixels))[0]
        except (RuntimeError, ValueError, IndexError) as error:  # pixels of another size than the model's, no outputs
            raise RunError(f"the model in {self.path} does not run: {_first_line(error)} {_AGAIN}") from None
        found = of_both_classes(found) if self._single else found
        if found.shape != (len(pixels), len(self.classes)):
            raise _damaged(self.path / "bundle.json")
        return found

    def runtime_files(self) -> list[Path]:
        """The halves for OpenVINO: the frozen and the trainable one, the latter alone where everything was trained.

        Returns:
            The `.xml` files, beside each of which is its `.bin`; none where only Keras can run this.

        Raises:
            RunError: if one of them is missing or damaged.
        """
        present = [file for file in (FROZEN, TRAINABLE) if file in self.about["digests"]]
        for file in present:
            self._check(str(Path(file).with_suffix(".bin")))
        return [self._check(file) for file in present]

    def trained_on(self) -> set[str]:
        """The digests of the pictures it learned from."""
        try:
            with open(self.path / "splits.csv", newline="", encoding="utf-8", errors=_ODD_NAMES) as file:
                return {row["digest"] for row in csv.DictReader(file) if row["side"] == "train"}
        except (OSError, KeyError, csv.Error):
            raise _damaged(self.path / "splits.csv") from None

    def _prediction(self, path: str, row: np.ndarray) -> Prediction:
        order = np.argsort(-row, kind="stable")
        ranked = {self.classes[i]: float(row[i]) for i in order}
        return Prediction(path, self.classes[order[0]], float(row[order[0]]), ranked)

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - set(self.classes))
        if unknown:
            hints = "; ".join(f"{name!r}: {nearest(name, self.classes)}" for name in unknown)
            raise DataError(f"{self.path} does not know class {', '.join(map(repr, unknown))}. {hints}")

    def _load_runtime(self, pictures: int) -> tuple[Runtime, Runtime]:
        """The two halves, for batches no larger than there are pictures."""
        if TRAINABLE not in self.about["digests"] or self._without_openvino:
            return self._load_keras()
        batch = max(1, min(BATCH, pictures))
        if batch not in self._runtimes:
            try:
                self._runtimes[batch] = self._load_openvino(batch)
            except (RuntimeError, ValueError) as error:  # OpenVINO's
                raise RunError(f"the model in {self.path} cannot be loaded: {_first_line(error)} {_AGAIN}") from None
        return self._runtimes[batch]

    @cached_property
    def _without_openvino(self) -> bool:
        """Whether Keras has to stand in for OpenVINO; asked once, so said once."""
        if has_openvino():
            return False
        if not is_installed("keras"):
            load_openvino()  # which says what to install
        log.warning("OpenVINO is not installed, so Keras runs %s, in f32. Install it with: pip install openvino", self)
        return True

    def _load_openvino(self, batch: int) -> tuple[Runtime, Runtime]:
        *frozen, trainable = self.runtime_files()
        if not frozen:  # everything was trained
            return PixelsRuntime(), OpenVINORuntime(trainable, "f32", batch, pixels=True)
        first = OpenVINORuntime(frozen[0], self.precision, batch, pixels=True)
        return first, OpenVINORuntime(trainable, "f32", batch)

    def _load_keras(self) -> tuple[Runtime, Runtime]:
        """The whole model in place of the frozen half, and nothing in place of the other."""
        return KerasRuntime(self.model), lambda *batch: list(batch)

    def _check(self, file: str) -> Path:
        """A file of the RUN, once it has been seen to be what was written."""
        path = self.path / file
        if not path.is_file():
            raise RunError(f"{self.path} is incomplete: no {file}. Train it again, or copy the whole folder.")
        if file_digest(path) != self.about["digests"].get(file):
            raise RunError(f"{path} is damaged: it is not what was written. Train it again, or copy it once more.")
        return path


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `bundle.json` with the digests of the model's files beside it."""
    names = [MODEL, *(path.relative_to(folder).as_posix() for path in sorted(folder.glob("runtime/*")))]
    digests = {name: file_digest(folder / name) for name in names}
    write_json(folder / "bundle.json", {"format": FORMAT, **about, "digests": digests})


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a header line; texts that look like formulas get an apostrophe in front."""
    with open(path, "w", newline="", encoding="utf-8", errors=_ODD_NAMES) as file:
        plain = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in chain([columns], rows):
            cells = [inert(cell) for cell in row]
            # A carriage return ends a line for who reads, but the writer only quotes what ends its own.
            (quoting if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)


def _read_about(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise RunError(f"no such RUN: {path}. Give the folder that `headstart train --out` has written.")
    try:
        about = _read_json(path / "bundle.json")
        version = int(about["format"])
    except FileNotFoundError:
        raise RunError(f"{path} is not a RUN: it has no bundle.json. Give the folder that --out has written.") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise _damaged(path / "bundle.json") from None
    if version > FORMAT:
        raise RunError(f"{path} was written by a newer headstart (format {version}, this one reads {FORMAT}). Upgrade.")
    return about


def _read_json(path: Path) -> dict[str, Any]:
    """What is in a JSON file, which is an object.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    return content


def _is_sound(about: Mapping[str, Any]) -> bool:
    """Whether what a RUN says of itself is all there and of the right kind."""
    if not about.keys() >= {"classes", "decode", "precision", "output", "head", "runtime", "digests"}:
        return False
    classes, decode, digests = about["classes"], about["decode"], about["digests"]
    return (
        isinstance(classes, list)
        and len(classes) > 1
        and all(isinstance(name, str) for name in classes)
        and len(set(classes)) == len(classes)
        and isinstance(decode, dict)
        and decode.keys() == {"height", "width", "fit"}
        and all(type(decode[side]) is int and 0 < decode[side] <= _LARGEST_SIDE for side in ("height", "width"))
        and decode["fit"] in get_args(Fit)
        and about["precision"] in get_args(Precision)
        and about["output"] in get_args(Output)
        and (about["output"] != "sigmoid" or len(classes) == 2)
        and isinstance(digests, dict)
        and MODEL in digests
    )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") + "."


def _damaged(path: Path) -> RunError:
    return RunError(f"{path} is damaged or cannot be read. {_AGAIN}")

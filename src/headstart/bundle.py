"""What a training leaves behind: RUN, a folder that can be evaluated, used and moved anywhere.

    RUN/model.keras         the whole classifier, for any Keras: RGB pixels 0-255 in, probabilities out
    RUN/runtime/            the same in two halves for OpenVINO, what headstart itself runs; and `usual.safetensors`,
                            what its training pictures look like to the frozen half
    RUN/bundle.json         class names, decoding, precision, provenance, digests
    RUN/metrics.json        the figures on the validation pictures
    RUN/history.csv         training, row by row
    RUN/splits.csv          every picture: path, label, side, digest
    RUN/predictions.csv     the probabilities of every validation and test picture, by path
    RUN/quarantine.csv      the files that were left out, and why
    RUN/report.html         all of it to look at

    RUN/checkpoints/        the best weights of each stage that was fitted
    RUN/tensorboard/        its logs
    RUN/training/           what an unfinished training goes on from, see `headstart.workplace`

Using a RUN needs neither Keras nor TensorFlow as long as `runtime/` and OpenVINO are there; else Keras runs it.
"""

import csv
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.answers import Answers, Evaluation, Prediction
from headstart.errors import DataError, RunError, nearest
from headstart.evaluation.evaluate import figures, of_both_classes
from headstart.evaluation.selective import Abstention, abstain_for
from headstart.evaluation.unlike import Familiarity, pooled, read_familiarity
from headstart.features.extract import in_batches, load_pictures
from headstart.features.keys import file_digest
from headstart.features.runtime import BATCH, KerasRuntime, OpenVINORuntime, PixelsRuntime, Precision, Runtime
from headstart.images.decode import DecodeRecipe, decode
from headstart.images.handed import Given, handed_over
from headstart.images.pictures import Content, Listing, Picture, Quarantined, Side
from headstart.images.sources import list_for_evaluation
from headstart.loading import has_openvino, is_installed, load_keras, load_openvino
from headstart.progress import bar
from headstart.run_files import (
    ABOUT,
    AGAIN,
    FAMILIARITY,
    FROZEN,
    METRICS,
    MODEL,
    ODD_NAMES,
    PREDICTIONS,
    SPLITS,
    TRAINABLE,
    Judged,
    damaged,
    first_line,
    is_sound,
    read_about,
    read_json,
    read_judged,
)

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


class Run:
    """A RUN folder that is ready to be used, by any number of threads at once.

    Args:
        path: the folder.

    Raises:
        RunError: if there is no RUN there, or it is damaged or from a newer headstart.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.about = read_about(self.path)
        if not is_sound(self.about):
            raise damaged(self.path / ABOUT)
        self.classes: tuple[str, ...] = tuple(self.about["classes"])
        self.decode_recipe = DecodeRecipe(**self.about["decode"])
        self.precision: Precision = self.about["precision"]
        self._single: bool = self.about["output"] == "sigmoid"
        self._runtimes: dict[int, tuple[Runtime, Runtime]] = {}
        self._loading = RLock()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The figures that were reported when it was trained.

        Raises:
            RunError: if they are damaged.
        """
        try:
            return read_json(self.path / METRICS)
        except (OSError, ValueError):
            raise damaged(self.path / METRICS) from None

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

    def decode(self, content: bytes) -> np.ndarray:
        """Make pixels of a picture file, as those were made that it was trained on.

        Args:
            content: the bytes of the file, of any format that headstart reads.

        Returns:
            uint8 RGB `(height, width, 3)` of the size in `decode_recipe`.

        Raises:
            UndecodableError: if it is no picture, damaged, or takes more memory than pictures may; the message says
                why.
        """
        return decode(content, self.decode_recipe)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Classify pictures that are already decoded; arguments and errors as for `answers`.

        Returns:
            float32 `(pictures, classes)`; rows sum to one.
        """
        return self.answers(pixels).probabilities

    def answers(self, pixels: np.ndarray) -> Answers:
        """Classify pictures that are already decoded, and say how familiar they are where that is known.

        Args:
            pixels: uint8 RGB `(pictures, height, width, 3)` of the size in `decode_recipe`, as `decode` gives them.

        Raises:
            DataError: if the pixels have another type or size, or there are none.
            RunError: if the RUN is damaged.
        """
        wanted = (self.decode_recipe.height, self.decode_recipe.width, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted or not len(pixels):
            raise DataError(f"pixels are {pixels.dtype} {pixels.shape}; uint8 (pictures, *{wanted}) are needed.")
        return self._run(pixels, len(pixels))

    def prediction(self, name: str, row: np.ndarray, share: float | None = None) -> Prediction:
        """One of the rows of `answers`, in the words of the RUN.

        Args:
            name: what the picture is called.
            row: its probabilities `(classes,)`.
            share: how familiar it is, if that is known.
        """
        order = np.argsort(-row, kind="stable")
        ranked = {self.classes[i]: float(row[i]) for i in order}
        return Prediction(name, self.classes[order[0]], float(row[order[0]]), ranked, share, self._is_unlike(share))

    def judged(self, side: Side = "val") -> Judged:
        """What it said of the pictures of one side when it was trained; none where it has no such side.

        Raises:
            RunError: if that is damaged.
        """
        try:
            return read_judged(self.path / PREDICTIONS, self.classes, side)
        except (OSError, ValueError, csv.Error):
            raise damaged(self.path / PREDICTIONS) from None

    def abstain_for(self, precision: float) -> Abstention:
        """From which confidence on its answers are as precise as wished, on its validation pictures.

        Args:
            precision: above 0, at most 1.

        Raises:
            RunError: if no confidence is enough, or the table of its predictions is damaged.
            InputError: if the precision is no such number.
        """
        if not 0 < precision <= 1:
            raise DataError(f"a precision of {precision:g} cannot be wished for; give one above 0 and at most 1.")
        judged = self.judged()
        if not len(judged.labels) or (found := abstain_for(judged.probabilities, judged.labels, precision)) is None:
            raise RunError(f"{self.path} has not even the most certain validation picture right; wish for nothing.")
        return found

    def predict(self, pictures: Given | Sequence[Given]) -> list[Prediction]:
        """Classify pictures: files and all pictures in folders, bytes of picture files, or arrays of pixels.

        Args:
            pictures: one or several, each a path; `bytes`, the content of a picture file; or an array, a picture
                `(height, width)` or `(height, width, channels)` or several `(pictures, height, width, channels)`, of
                any size: integers from 0 to 255 or 0 to 65535, floats from 0 to 1 or 0 to 255. All are read, turned
                and resized as files are in training.

        Returns:
            One for each, in the order given; pictures from memory are called `#0`, `#1`, ... in the order of all that
            was given. What cannot be decoded is left out; use `stream` to learn of it.

        Raises:
            DataError: if there is no such file or folder, an array holds no pixels, or nothing can be decoded.
        """
        found = list(self.stream(list(handed_over(pictures))))
        good = [item for item in found if isinstance(item, Prediction)]
        if found and not good:
            first = next(item for item in found if isinstance(item, Quarantined))
            raise DataError(f"none of the {len(found)} pictures can be decoded; {first.path}: {first.reason}")
        return good

    def stream(self, pictures: Sequence[str | Content]) -> Iterator[Prediction | Quarantined]:
        """Classify pictures one batch at a time, in order; one that cannot be decoded gives its reason.

        Args:
            pictures: paths of files, or contents of such.
        """
        for name, row in self._classify(pictures):
            yield row if isinstance(row, Quarantined) else self.prediction(name, *row)

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
        shares: list[float | None] = []
        quarantined: list[Quarantined] = []
        with bar("evaluating", len(by_path), "pictures", show) as advance:
            for path, row in self._classify(list(by_path)):
                if isinstance(row, Quarantined):
                    quarantined.append(row)
                else:
                    pictures.append(by_path[path])
                    rows.append(row[0])
                    shares.append(row[1])
                advance(1)
        if not rows:
            raise DataError(f"none of the {len(by_path)} files in {listing.root} is a picture that can be decoded.")
        probabilities = np.stack(rows)
        labels = np.array([self.classes.index(str(picture.label)) for picture in pictures])
        unlike = None if None in shares else np.array([self._is_unlike(share) for share in shares])
        return Evaluation(figures(probabilities, labels, self.classes), pictures, probabilities, quarantined, unlike)

    def _classify(
        self, pictures: Sequence[str | Content]
    ) -> Iterator[tuple[str, tuple[np.ndarray, float | None] | Quarantined]]:
        """The probabilities of each picture, in the order of the classes, and how familiar it is."""
        for batch in in_batches(load_pictures(pictures, self.decode_recipe)):
            good = [content for _, content in batch if not isinstance(content, Quarantined)]
            rows = self._run(np.stack(good), len(pictures)).rows() if good else iter(())
            for path, content in batch:
                yield path, content if isinstance(content, Quarantined) else next(rows)

    def _run(self, pixels: np.ndarray, pictures: int) -> Answers:
        frozen, trainable = self._load_runtime(pictures)
        try:
            features = frozen(pixels)
            found = trainable(*features)[0]
        except (RuntimeError, ValueError, IndexError) as error:  # pixels of another size than the model's, no outputs
            raise RunError(f"the model in {self.path} does not run: {first_line(error)} {AGAIN}") from None
        found = of_both_classes(found) if self._single else found
        if found.shape != (len(pixels), len(self.classes)):
            raise damaged(self.path / ABOUT)
        familiarity = None if self._without_runtime else self._familiarity
        return Answers(found, None if familiarity is None else familiarity.shares(pooled(features)))

    @property
    def _familiarity(self) -> Familiarity | None:
        with self._loading:
            return self._known

    @cached_property
    def _known(self) -> Familiarity | None:
        return read_familiarity(self._check(FAMILIARITY)) if FAMILIARITY in self.about["digests"] else None

    def _is_unlike(self, share: float | None) -> bool | None:
        return None if share is None or self._familiarity is None else share < self._familiarity.least_share

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
            with open(self.path / SPLITS, newline="", encoding="utf-8", errors=ODD_NAMES) as file:
                return {row["digest"] for row in csv.DictReader(file) if row["side"] == "train"}
        except (OSError, KeyError, csv.Error):
            raise damaged(self.path / SPLITS) from None

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - set(self.classes))
        if unknown:
            hints = "; ".join(f"{name!r}: {nearest(name, self.classes)}" for name in unknown)
            raise DataError(f"{self.path} does not know class {', '.join(map(repr, unknown))}. {hints}")

    def _load_runtime(self, pictures: int) -> tuple[Runtime, Runtime]:
        """The two halves: for one picture alone, or for several side by side, which two at most are ever ready."""
        batch = 1 if pictures == 1 else BATCH
        with self._loading:
            if batch not in self._runtimes:
                self._runtimes[batch] = self._load_halves(batch)
            return self._runtimes[batch]

    def _load_halves(self, batch: int) -> tuple[Runtime, Runtime]:
        if self._without_runtime:
            return self._load_keras()
        try:
            return self._load_openvino(batch)
        except (RuntimeError, ValueError) as error:  # OpenVINO's
            raise RunError(f"the model in {self.path} cannot be loaded: {first_line(error)} {AGAIN}") from None

    @property
    def _without_runtime(self) -> bool:
        return TRAINABLE not in self.about["digests"] or self._without_openvino

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

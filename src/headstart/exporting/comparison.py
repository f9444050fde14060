"""Whether an export says what the RUN says: run as a stranger would, in a new process, and compared."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.errors import HeadstartError, InputError
from headstart.exporting import stranger
from headstart.exporting.formats import ExportPrecision, Format
from headstart.exporting.of_openvino import load_in_f32
from headstart.exporting.pictures import (
    COMPARED,
    JUDGED,
    Own,
    drawn_pictures,
    find_on,
    spread,
    write_pixels,
)
from headstart.exporting.quietly import run_python
from headstart.exporting.usage import USE
from headstart.features.runtime import BATCH

BATCHES = (1, 5)
"""Pictures at once that an export is compared at."""

TOLERANCES: dict[ExportPrecision, float] = {"f32": 1e-4, "f16": 2e-2}
"""The largest difference of a probability from the RUN's that is put down to rounding."""

KERNEL_TOLERANCES: dict[ExportPrecision, float] = {**TOLERANCES, "f32": 5e-4}
"""The same where the head is a kernel head: its logits are small sums of large terms, which makes more of any rounding.
Logits of up to 7 were sums of up to 660 with 41 landmarks of 48 drawn pictures, where LiteRT came to 1.0e-4. On 550
flowers all formats stay below 3e-5."""

REPORTED_TOLERANCE = 2e-3
"""The same between what the RUN says now and what it reported, by other batches and perhaps on another machine."""


@dataclass(frozen=True)
class Compared:
    """How an export compares with the RUN.

    Attributes:
        pictures: how many were shown to both.
        shown: `validation pictures`, or `drawn pictures` where those were not found.
        batches: how many were given at once.
        largest_difference: of any probability from what the RUN says in f32.
        tolerance: what was allowed; None for int8, of which the accuracy is what counts.
        reported_difference: the same from `predictions.csv`; None for drawn pictures, or changed ones.
        pictures_per_second: of the export, on this machine, at the larger batch.
    """

    pictures: int
    shown: str
    batches: tuple[int, ...]
    largest_difference: float
    tolerance: float | None
    reported_difference: float | None
    pictures_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**asdict(self), "batches": list(self.batches)}


@dataclass(frozen=True)
class Accuracy:
    """What int8 costs.

    Attributes:
        n: validation pictures that it was counted on.
        before: the RUN's accuracy on them, 0 to 1.
        after: the export's.
    """

    n: int
    before: float
    after: float

    @property
    def drop(self) -> float:
        """How much lower it is, in percentage points; negative if it is higher."""
        return 100 * (self.before - self.after)


class TooMuchLostError(InputError):
    """int8 costs more accuracy than is allowed."""


class Jury:
    """What exports of one RUN are compared on, and what the RUN itself says of that.

    Args:
        run: the RUN.
        folder: for pixels and results.
        data: where its data is now; None for where it was in training.

    Raises:
        HeadstartError: if the RUN does not say what it reported.
    """

    def __init__(self, run: Run, folder: Path, data: str | None):
        self._run = run
        self._folder = folder
        self._validation = find_on(run, "val", data)
        self._pixels = folder / "compared.npy"
        kept = write_pixels(self._pixels, spread(self._validation, COMPARED), run.decode_recipe, False)
        self.shown = "validation pictures" if kept else "drawn pictures"
        if kept:
            np.save(self._pixels, np.load(self._pixels)[: len(kept)])
        else:
            np.save(self._pixels, drawn_pictures(run.decode_recipe))
        self._says = self._of_run(np.load(self._pixels))
        self._reported = self._as_reported(kept)

    @property
    def has_validation(self) -> bool:
        """Whether validation pictures were found."""
        return bool(self._validation)

    def compare(self, export: Path, form: Format, precision: ExportPrecision) -> Compared:
        """Run an export in a new process and compare.

        Raises:
            HeadstartError: if it does not run, or differs by more than the tolerance.
        """
        results = run_export(export, self._pixels, self._folder, BATCHES)
        found = [results[str(size)] for size in BATCHES]
        if any(rows.shape != self._says.shape for rows in found):
            raise HeadstartError(f"the {form.name} export gives {found[0].shape} instead of {self._says.shape}.")
        known = ~np.isnan(self._reported[:, 0])
        reported = max(_largest(rows[known], self._reported[known]) for rows in found) if known.any() else None
        compared = Compared(
            len(self._says),
            self.shown,
            BATCHES,
            max(_largest(rows, self._says) for rows in found),
            self.tolerance(precision),
            reported,
            float(results["speed"]),
        )
        if compared.tolerance is not None and not compared.largest_difference <= compared.tolerance:
            raise HeadstartError(
                f"the {form.name} export in {precision} differs from the RUN by {compared.largest_difference:.2g} in a "
                f"probability of {compared.pictures} {self.shown}; at most {compared.tolerance:g} is rounding. Nothing "
                f"was written." + (" Take --precision f32." if precision != "f32" else " Please report this network.")
            )
        return compared

    def tolerance(self, precision: ExportPrecision) -> float | None:
        """What is put down to rounding; None for int8."""
        is_kernel = str(self._run.about["head"]).startswith("kernel")
        return (KERNEL_TOLERANCES if is_kernel else TOLERANCES).get(precision)

    def judge(self, export: Path, max_drop: float, show: bool) -> Accuracy:
        """Count how often an export is right on validation pictures, and how often the RUN is.

        Args:
            export: its folder.
            max_drop: how many percentage points fewer are allowed.
            show: whether to draw a progress bar.

        Raises:
            TooMuchLostError: if more are lost.
        """
        file = self._folder / "judged.npy"
        kept = write_pixels(file, spread(self._validation, JUDGED), self._run.decode_recipe, show)
        pixels = np.load(file, mmap_mode="r")
        if len(kept) < len(pixels):
            np.save(file.with_name("readable.npy"), pixels[: len(kept)])
            file = file.with_name("readable.npy")
            pixels = np.load(file, mmap_mode="r")
        labels = np.array([picture.label for picture in kept])
        after = run_export(export, file, self._folder, (BATCH,))[str(BATCH)]
        before = self._of_run(pixels)
        accuracy = Accuracy(len(labels), *(float((rows.argmax(1) == labels).mean()) for rows in (before, after)))
        if accuracy.drop > max_drop:
            raise TooMuchLostError(
                f"int8 costs {accuracy.drop:.2f} points of accuracy: {accuracy.before:.4f} before, "
                f"{accuracy.after:.4f} after on {accuracy.n} validation pictures; at most {max_drop:g} are allowed. "
                "Nothing was written. Take --precision f16, or allow more with --max-drop."
            )
        return accuracy

    def _of_run(self, pixels: np.ndarray) -> np.ndarray:
        """What the RUN says, in f32 whatever it runs in: that is what exports compute in."""
        exact = None if self._run.precision == "f32" else load_in_f32(self._run, len(pixels))
        classify = self._run.probabilities if exact is None else lambda batch: exact(batch)[0]
        starts = range(0, len(pixels), BATCH)
        return np.concatenate([classify(np.ascontiguousarray(pixels[start : start + BATCH])) for start in starts])

    def _as_reported(self, pictures: list[Own]) -> np.ndarray:
        """What `predictions.csv` says of pictures; NaN for those that have changed since.

        Raises:
            HeadstartError: if it is something else than the RUN says now.
        """
        judged = self._run.judged()
        rows = dict(zip(judged.names, judged.probabilities, strict=True))
        reported = np.full(self._says.shape, np.nan)
        for number, picture in enumerate(pictures):
            if picture.name in rows and picture.is_unchanged:
                reported[number] = rows[picture.name]
        known = ~np.isnan(reported[:, 0])
        # A RUN in bf16 reported what it says in that.
        allowed = REPORTED_TOLERANCE if self._run.precision == "f32" else TOLERANCES["f16"]
        if known.any() and not (difference := _largest(self._says[known], reported[known])) <= allowed:
            raise HeadstartError(
                f"{self._run.path} says something else now than it reported, by {difference:.2g} in a probability; "
                f"at most {allowed:g} is rounding. Train it again with the libraries that are installed now."
            )
        return reported


def run_export(export: Path, pixels: Path, folder: Path, batches: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Run an export by its `use.py` in a new process.

    Args:
        export: its folder.
        pixels: `.npy`, uint8 `(n, height, width, 3)`.
        folder: where the results may be put.
        batches: pictures at once, one after the other.

    Returns:
        Probabilities float32 `(n, classes)` by batch, as a text; and `speed`, in pictures a second.

    Raises:
        HeadstartError: if it does not run.
    """
    results = folder / "results.npz"
    results.unlink(missing_ok=True)
    sizes = (str(size) for size in batches)
    code, complaint = run_python("-P", stranger.__file__, str(export / USE), str(pixels), str(results), *sizes)
    if code or not results.exists():
        raise HeadstartError(f"the export does not run in a new process: {complaint}")
    with np.load(results) as found:
        return dict(found)


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; NaN counts as infinite."""
    worst = float(np.max(np.abs(found - expected)))
    return worst if np.isfinite(worst) else float("inf")

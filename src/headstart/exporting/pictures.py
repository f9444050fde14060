"""The pictures that an export is tried on: those of the RUN where they can be found, else some that are drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headstart.bundle import Run
from headstart.errors import DataError
from headstart.features.extract import load_pictures
from headstart.images.decode import DecodeRecipe
from headstart.images.digest import picture_digest
from headstart.images.pictures import SIDE_NAMES, Quarantined, Side
from headstart.images.places import is_there, read_file
from headstart.progress import bar
from headstart.records import find_pictures, read_table
from headstart.run_files import SPLITS

COMPARED = 16
"""Pictures whose probabilities are compared."""

CALIBRATION = 2_048
"""Pictures of the training part, at most, that an export in fewer bits is calibrated on."""

JUDGED = 2_000
"""Validation pictures, at most, that its accuracy is counted on."""


class Own(NamedTuple):
    """A picture of a RUN's split that is where it is looked for.

    Attributes:
        name: as the tables of the RUN call it.
        label: its class, in the order of the RUN's classes.
        path: where it is.
        digest: of its content, when the RUN was trained.
    """

    name: str
    label: int
    path: str
    digest: str

    @property
    def is_unchanged(self) -> bool:
        """Whether its content is still what it was in training."""
        return picture_digest(read_file(self.path)) == self.digest


def find_on(run: Run, side: Side, data: str | None) -> list[Own]:
    """The pictures on one side of a RUN's split, as far as they are still there; in the order of `splits.csv`.

    Args:
        run: the RUN.
        side: the side.
        data: where the data is now; None for where it was in training.

    Raises:
        RunError: if the RUN does not say which they are.
        DataError: if the data was given and is not there.
    """
    rows = [row for row in read_table(run, SPLITS) if SIDE_NAMES.get(row["side"]) == side]
    try:
        place = find_pictures(run, data)
    except DataError:
        if data is not None:
            raise
        return []
    numbers = {name: number for number, name in enumerate(run.classes)}
    found = (
        Own(row["path"], numbers[row["label"]], place(row["path"], side), row["digest"])
        for row in rows
        if row["label"] in numbers
    )
    return [picture for picture in found if is_there(picture.path)]


def spread(pictures: Sequence[Own], most: int) -> list[Own]:
    """So many of them at most, evenly over all."""
    chosen = np.unique(np.linspace(0, max(0, len(pictures) - 1), min(most, len(pictures))).astype(int))
    return [pictures[number] for number in chosen]


def write_pixels(file: Path, pictures: Sequence[Own], recipe: DecodeRecipe, show: bool) -> list[Own]:
    """Decode pictures into a file, which takes no memory however many they are.

    Args:
        file: `.npy`, uint8 `(pictures, height, width, 3)`; what cannot be decoded leaves room at its end.
        pictures: which.
        recipe: how they are decoded.
        show: whether to draw a progress bar.

    Returns:
        Those that could be decoded.
    """
    shape = (len(pictures), recipe.height, recipe.width, 3)
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    kept: list[Own] = []
    contents = load_pictures([picture.path for picture in pictures], recipe)
    with bar("decoding", len(pictures), "pictures", show) as advance:
        for picture, (_, content) in zip(pictures, contents, strict=True):
            if not isinstance(content, Quarantined):
                pixels[len(kept)] = content
                kept.append(picture)
            advance(1)
    pixels.flush()
    return kept


def drawn_pictures(recipe: DecodeRecipe, count: int = COMPARED) -> np.ndarray:
    """Pictures of nothing, the same ones each time: smooth colours with edges, as photographs have them, and noise.

    Returns:
        uint8 `(count, height, width, 3)`.
    """
    chance = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : 1 : recipe.height * 1j, 0 : 1 : recipe.width * 1j]
    pictures = []
    for _ in range(count):
        waves = chance.uniform(1, 12, (3, 2))
        phases = chance.uniform(0, 2 * np.pi, 3)
        smooth = np.stack([np.sin(a * rows + b * columns + p) for (a, b), p in zip(waves, phases, strict=True)], -1)
        top, left = chance.uniform(0, 0.6, 2)
        inside = (rows > top) & (rows < top + 0.4) & (columns > left) & (columns < left + 0.4)
        shown = 128 + 90 * smooth + np.where(inside, chance.uniform(-80, 80), 0)[..., None]
        pictures.append(shown + chance.normal(0, 6, shown.shape))
    return np.clip(np.stack(pictures), 0, 255).astype(np.uint8)

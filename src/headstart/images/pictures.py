"""What sources give: pictures with what is known of each, before any of them is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from headstart.errors import DataError

Side = Literal["train", "val", "test"]

SIDE_NAMES: dict[str, Side] = {
    "train": "train",
    "training": "train",
    "training_set": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validation_set": "val",
    "test": "test",
    "testing": "test",
    "test_set": "test",
}
"""Folder names that stand for a side of the split, in lower case."""


SIDE_WORDS: dict[Side, str] = {"train": "training", "val": "validation", "test": "test"}
"""What people are told for the sides."""


class Picture(NamedTuple):
    """One file that is taken for a picture until it proves not to be one.

    Attributes:
        path: where it is, see `headstart.images.places`.
        name: its path below the folder that was given, with forward slashes; what tables call it by.
        label: the name of its class; None where nobody said.
        side: `train`, `val` or `test` where the folders say so; None where headstart splits.
        group: what it has in common with others that must be on the same side, as a patient; None for nothing.
    """

    path: str
    name: str
    label: str | None = None
    side: Side | None = None
    group: str | None = None

    @property
    def is_learnable(self) -> bool:
        """Whether it is for training, or may be once headstart has split."""
        return self.side in (None, "train")


class Content(NamedTuple):
    """A picture that is in no file.

    Attributes:
        name: what it is called.
        data: the bytes of the file that it would be.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class Quarantined:
    """A file that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """All pictures found below one or more folders.

    Attributes:
        root: the folder that was given.
        pictures: sorted by side, class and name.
        classes: the class names, sorted or in the order they were given; also those that have no pictures.
        skipped: files that are in no class folder, and what is no file at all, with the reason.
    """

    root: Path
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    skipped: tuple[Quarantined, ...] = ()

    @property
    def pictured(self) -> tuple[str, ...]:
        """The classes that have pictures, on whichever side."""
        labels = {picture.label for picture in self.pictures}
        return tuple(name for name in self.classes if name in labels)

    def on(self, side: Side) -> tuple[Picture, ...]:
        """The pictures on one side."""
        return tuple(picture for picture in self.pictures if picture.side == side)


def check_class_sizes(pictures: Sequence[Picture], classes: Sequence[str], where: object) -> None:
    """Refuse classes that are too small to be learned from and checked on.

    Raises:
        DataError: if a class has no picture, or, where headstart has to split, fewer than two.
    """
    counts = dict.fromkeys(classes, 0)
    for picture in pictures:
        counts[str(picture.label)] += 1
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        raise DataError(
            f"class {', '.join(map(repr, empty))} in {where} has no pictures. Add some, or remove the folder."
        )
    single = [name for name, count in counts.items() if count == 1]
    if single:
        raise DataError(
            f"class {', '.join(map(repr, single))} in {where} has one picture only. "
            "At least two are needed for each class: one to learn from and one to check on."
        )

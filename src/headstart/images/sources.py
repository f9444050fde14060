"""Where pictures and labels come from: a folder of class folders, with or without train and val folders."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from headstart.errors import DataError, nearest

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


class Picture(NamedTuple):
    """One file that is taken for a picture until it proves not to be one.

    Attributes:
        path: where it is.
        name: its path below the folder that was given, with forward slashes; what tables call it by.
        label: the name of its class; None where nobody said.
        side: `train`, `val` or `test` where the folders say so; None where headstart splits.
    """

    path: str
    name: str
    label: str | None = None
    side: Side | None = None


@dataclass(frozen=True)
class Listing:
    """All pictures found below one or more folders.

    Attributes:
        root: the folder that was given.
        pictures: sorted by side, class and name.
        classes: the class names, sorted; also those that have no pictures.
    """

    root: Path
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]

    @property
    def has_sides(self) -> bool:
        """Whether the folders already say which pictures are for validation."""
        return any(picture.side is not None for picture in self.pictures)

    def on(self, side: Side) -> tuple[Picture, ...]:
        """The pictures on one side."""
        return tuple(picture for picture in self.pictures if picture.side == side)


def list_labelled(data: str | os.PathLike[str], val: str | os.PathLike[str] | None = None) -> Listing:
    """Find labelled pictures: one folder per class, at the top or inside train and val folders.

    Files at any depth below a class folder belong to the class. Hidden files and folders are passed over.
    Names of sides count only when they are all there is, so a class may be called `train`. Where there is a test
    folder but none for validation, the test folder is for validation.

    Args:
        data: the folder.
        val: another folder of class folders whose pictures are for validation.

    Raises:
        DataError: if there is no such folder, or it holds no classes, or one only, or the sides do not fit together.
    """
    root = _existing_folder(data)
    sides = _side_folders(root)
    if sides and "train" not in sides:
        raise DataError(f"{root} holds {', '.join(path.name for path in sides.values())} but no train folder.")
    if val is not None:
        sides = {"train": sides.get("train", root), "val": _existing_folder(val)}
    if set(sides) == {"train"}:  # a lone train folder is a folder of classes one level further down
        root, sides = sides["train"], {}
    if "test" in sides and "val" not in sides:
        sides["val"] = sides.pop("test")
    if not sides:
        return _listing(root, list(_walk_classes(root, root, None)), _class_names(root))
    classes = {side: _class_names(folder) for side, folder in sides.items()}
    for side, names in classes.items():
        _refuse_strangers(names, classes["train"], sides[side], sides["train"])
    pictures = [picture for side, folder in sides.items() for picture in _walk_classes(folder, root, side)]
    return _listing(root, pictures, classes["train"])


def list_for_evaluation(data: str | os.PathLike[str]) -> Listing:
    """Find labelled pictures to compare predictions with: a folder of class folders, one class or more.

    Where there are train and val (or test) folders, the pictures are those in the first of val and test.

    Raises:
        DataError: if there is no such folder, or no pictures in class folders.
    """
    root = _existing_folder(data)
    sides = _side_folders(root)
    folder = next((sides[side] for side in ("val", "test", "train") if side in sides), root)
    classes = _class_names(folder)
    pictures = tuple(_walk_classes(folder, folder, None))
    if not pictures:
        raise DataError(f"no pictures in the class folders of {folder}.")
    return Listing(folder, pictures, classes)


def list_any(paths: Sequence[str | os.PathLike[str]]) -> tuple[Picture, ...]:
    """Find pictures without labels: files are taken as they are, folders at any depth.

    Raises:
        DataError: if there is no such file or folder, or nothing in it.
    """
    pictures: list[Picture] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found = [Picture(str(file), file.as_posix()) for file in _walk(path)]
            if not found:
                raise DataError(f"no pictures in {path}.")
            pictures += found
        elif path.exists():
            pictures.append(Picture(str(path), path.as_posix()))
        else:
            raise DataError(f"no such file or folder: {path}")
    return tuple(pictures)


def _existing_folder(given: str | os.PathLike[str]) -> Path:
    path = Path(given)
    if path.is_dir():
        return path
    wanted = "Give a folder that holds one folder of pictures for each class."
    if path.exists():
        raise DataError(f"{path} is a file, not a folder. {wanted}")
    siblings = [entry.name for entry in _visible(path.parent) if entry.is_dir()] if path.parent.is_dir() else []
    hint = f" In {path.parent}: {nearest(path.name, siblings)}" if siblings else ""
    raise DataError(f"no such folder: {path}. {wanted}{hint}")


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _side_folders(root: Path) -> dict[Side, Path]:
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    sides: dict[Side, Path] = {}
    for entry in folders:
        side = SIDE_NAMES.get(entry.name.lower())
        if side is None or not any(inner.is_dir() for inner in _visible(Path(entry.path))):
            return {}
        if side in sides:
            raise DataError(f"{sides[side].name}/ and {entry.name}/ in {root} both stand for {side}. Keep one of them.")
        sides[side] = Path(entry.path)
    return sides


def _class_names(folder: Path) -> tuple[str, ...]:
    entries = _visible(folder)
    names = tuple(entry.name for entry in entries if entry.is_dir())
    if not names:
        files = sum(1 for entry in entries if entry.is_file())
        found = f"it holds {files} file{'s' * (files != 1)} and no folders" if files else "it is empty"
        raise DataError(f"no classes in {folder}: {found}. Put the pictures of each class into a folder of its own.")
    return names


def _refuse_strangers(names: tuple[str, ...], known: tuple[str, ...], folder: Path, train: Path) -> None:
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise DataError(
            f"class {', '.join(map(repr, strangers))} is in {folder} but not in {train}, so it cannot be learned. "
            "Add pictures of it for training, or remove the folder."
        )


def _walk_classes(folder: Path, root: Path, side: Side | None) -> Iterator[Picture]:
    for entry in _visible(folder):
        if entry.is_dir():
            for file in _walk(Path(entry.path)):
                name = os.path.relpath(file, root).replace(os.sep, "/")
                yield Picture(str(file), name, entry.name, side)


def _walk(folder: Path) -> Iterator[Path]:
    """Files at any depth, sorted, hidden ones left out; a folder reached by a link is not entered."""
    for entry in _visible(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def _listing(root: Path, pictures: list[Picture], classes: tuple[str, ...]) -> Listing:
    if len(classes) < 2:
        raise DataError(f"only one class in {root}: {classes[0]!r}. A classifier needs at least two class folders.")
    train = [picture for picture in pictures if picture.side in (None, "train")]
    check_class_sizes(train, classes, root)
    return Listing(root, tuple(pictures), classes)


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

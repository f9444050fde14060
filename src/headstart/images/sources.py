"""Where pictures and labels come from: a folder of class folders, with or without train and val folders."""

import os
from collections.abc import Iterable, Iterator, Sequence
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

_NOT_OURS = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what archives and file managers leave behind


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
        classes: the class names, sorted; also those that have no pictures.
        skipped: files that are in no class folder, and what is no file at all, with the reason.
    """

    root: Path
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    skipped: tuple[Quarantined, ...] = ()

    @property
    def has_sides(self) -> bool:
        """Whether the folders already say which pictures are for validation."""
        return any(picture.side is not None for picture in self.pictures)

    def on(self, side: Side) -> tuple[Picture, ...]:
        """The pictures on one side."""
        return tuple(picture for picture in self.pictures if picture.side == side)


def list_labelled(data: str | os.PathLike[str], val: str | os.PathLike[str] | None = None) -> Listing:
    """Find labelled pictures: one folder per class, at the top or inside train and val folders.

    Files at any depth below a class folder belong to the class. Hidden files and folders are passed over. A folder
    with the name of a side is one if it holds folders in its turn, so a class may be called `train`. Where there is
    a test folder but none for validation, the test folder is for validation.

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
        sides = {**sides, "train": sides.get("train", root), "val": _existing_folder(val)}
        _refuse_overlap(sides["train"], sides["val"])
    if set(sides) == {"train"}:  # a lone train folder is a folder of classes one level further down
        root, sides = sides["train"], {}
    if "test" in sides and "val" not in sides:
        sides["val"] = sides.pop("test")
    if not sides:
        return _listing(root, _walk_classes(root, root, None), _class_names(root))
    classes = {side: _class_names(folder) for side, folder in sides.items()}
    for side, names in classes.items():
        _refuse_strangers(names, classes["train"], sides[side], sides["train"])
    found = [item for side, folder in sides.items() for item in _walk_classes(folder, root, side)]
    return _listing(root, found, classes["train"])


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
    pictures, skipped = _sorted_out(_walk_classes(folder, folder, None))
    if not pictures:
        raise DataError(f"no pictures in the class folders of {folder}.")
    return Listing(folder, pictures, classes, skipped)


def list_any(paths: Sequence[str | os.PathLike[str]]) -> tuple[Picture, ...]:
    """Find pictures without labels: files are taken as they are, folders at any depth.

    Raises:
        DataError: if there is no such file or folder, or nothing in it.
    """
    pictures: list[Picture] = []
    for given in paths:
        path = Path(given)
        if not os.fspath(given):
            raise DataError("an empty path was given. Give files, or folders of them.")
        if path.is_dir():
            found = [Picture(item, Path(item).as_posix()) for item in _walk(path) if isinstance(item, str)]
            if not found:
                raise DataError(f"no pictures in {path}.")
            pictures += found
        elif path.is_file():
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
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _NOT_OURS]
    except PermissionError:
        raise DataError(f"{folder} cannot be read: permission denied. Give yourself the right, or move it.") from None
    return sorted(found, key=lambda entry: entry.name)


def _side_folders(root: Path) -> dict[Side, Path]:
    """The folders that stand for sides: those with the name of one that hold class folders in their turn."""
    folders = [Path(entry.path) for entry in _visible(root) if entry.is_dir()]
    named = [folder for folder in folders if folder.name.lower() in SIDE_NAMES]
    sides: dict[Side, Path] = {}
    for folder in named:
        if not any(inner.is_dir() for inner in _visible(folder)):
            continue
        side = SIDE_NAMES[folder.name.lower()]
        if side in sides:
            raise DataError(
                f"{sides[side].name}/ and {folder.name}/ in {root} both stand for {side}. Keep one of them."
            )
        sides[side] = folder
    others = [folder.name for folder in folders if folder not in sides.values()]
    if sides and others:
        raise DataError(
            f"{root} holds {', '.join(sorted(folder.name for folder in sides.values()))} with class folders and, "
            f"beside them, {', '.join(others)} without. Move the latter, or give the folder that holds the classes."
        )
    return sides


def _refuse_overlap(train: Path, val: Path) -> None:
    first, second = train.resolve(), val.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise DataError(f"{val} and {train} hold the same pictures: nothing can be checked on what was learned from.")


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


def _walk_classes(folder: Path, root: Path, side: Side | None) -> Iterator[Picture | Quarantined]:
    for entry in _visible(folder):
        if not entry.is_dir():
            yield Quarantined(entry.path, "it is in no class folder")
            continue
        for item in _walk(Path(entry.path)):
            if isinstance(item, Quarantined):
                yield item
            else:
                name = os.path.relpath(item, root).replace(os.sep, "/")
                yield Picture(item, name, entry.name, side)


def _walk(folder: Path) -> Iterator[str | Quarantined]:
    """Files at any depth, sorted, hidden ones left out; a folder reached by a link is not entered."""
    for entry in _visible(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield entry.path
        elif entry.is_dir():
            yield Quarantined(entry.path, "a link to a folder, which is not followed")
        else:
            yield Quarantined(entry.path, "a link that leads nowhere" if entry.is_symlink() else "not a file")


def _sorted_out(items: Iterable[Picture | Quarantined]) -> tuple[tuple[Picture, ...], tuple[Quarantined, ...]]:
    found = list(items)
    return (
        tuple(item for item in found if isinstance(item, Picture)),
        tuple(item for item in found if isinstance(item, Quarantined)),
    )


def _listing(root: Path, items: Iterable[Picture | Quarantined], classes: tuple[str, ...]) -> Listing:
    if len(classes) < 2:
        raise DataError(f"only one class in {root}: {classes[0]!r}. A classifier needs at least two class folders.")
    pictures, skipped = _sorted_out(items)
    train = [picture for picture in pictures if picture.side in (None, "train")]
    check_class_sizes(train, classes, root)
    return Listing(root, pictures, classes, skipped)


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

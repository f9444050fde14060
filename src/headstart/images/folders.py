"""Folders of class folders: what is in them, and which of them do not go together."""

import os
from collections.abc import Sequence
from pathlib import Path

from headstart.errors import DataError, nearest

_NOT_OURS = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what archives and file managers leave behind


def existing_folder(given: str | os.PathLike[str]) -> Path:
    """The folder, if it is one.

    Raises:
        DataError: if it is not, with the nearest folder beside it.
    """
    path = Path(given)
    if path.is_dir():
        return path
    wanted = "Give a folder that holds one folder of pictures for each class."
    if path.exists():
        raise DataError(f"{path} is a file, not a folder. {wanted}")
    siblings = [entry.name for entry in visible(path.parent) if entry.is_dir()] if path.parent.is_dir() else []
    hint = f" In {path.parent}: {nearest(path.name, siblings)}" if siblings else ""
    raise DataError(f"no such folder: {path}. {wanted}{hint}")


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without hidden files and what archives leave behind.

    Raises:
        DataError: if it may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _NOT_OURS]
    except PermissionError:
        raise DataError(f"{folder} cannot be read: permission denied. Give yourself the right, or move it.") from None
    return sorted(found, key=lambda entry: entry.name)


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the folders in a folder, sorted.

    Raises:
        DataError: if there are none.
    """
    entries = visible(folder)
    names = tuple(entry.name for entry in entries if entry.is_dir())
    if not names:
        files = sum(1 for entry in entries if entry.is_file())
        found = f"it holds {files} file{'s' * (files != 1)} and no folders" if files else "it is empty"
        raise DataError(f"no classes in {folder}: {found}. Put the pictures of each class into a folder of its own.")
    return names


def refuse_overlap(one: Path, other: Path) -> None:
    """Refuse sides of which one is inside the other.

    Raises:
        DataError: if they are.
    """
    first, second = one.resolve(), other.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise DataError(
            f"{one} and {other} hold the same pictures. Give each side pictures of its own: nothing can be checked on "
            "what was learned from."
        )


def refuse_strangers(names: tuple[str, ...], known: tuple[str, ...], folder: Path, train: Path) -> None:
    """Refuse a side with classes that are not among those for training.

    Raises:
        DataError: with the classes.
    """
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise DataError(
            f"class {', '.join(map(repr, strangers))} is in {folder} but not in {train}, so it cannot be learned. "
            "Add pictures of it for training, or remove the folder."
        )


def refuse_unlisted(names: tuple[str, ...], classes: Sequence[str], folder: Path) -> None:
    """Refuse class folders that a list of classes does not name.

    Raises:
        DataError: with the first of them and the nearest class.
    """
    for name in names:
        if name not in classes:
            raise DataError(
                f"{folder} holds a folder {name!r}, which is not in the list of classes; {nearest(name, classes)} "
                "Rename or remove the folder, or add a line to the list."
            )

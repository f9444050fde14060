"""Folders of class folders, also in zips and arrays: what is in them, and which of them do not go together."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.errors import DataError, nearest
from headstart.images.archives import ArchiveError
from headstart.images.array_formats import beside
from headstart.images.buckets import look_anew
from headstart.images.pictures import SIDE_NAMES, Quarantined
from headstart.images.places import Entry, entries, is_file, is_folder
from headstart.objects.addresses import as_path, is_address, other_scheme

_ARCHIVES = (".zip", ".npz", ".npy", ".h5", ".hdf5", ".pkl", ".pickle")
_DEEPEST = 200
_LONGEST_PATH = 3800  # bytes; Linux opens none of more than 4,095
_NOT_OURS = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what archives and file managers leave behind


def existing_folder(given: str | os.PathLike[str]) -> Path:
    """The folder, if it is one. Of a zip that holds nothing but one folder of folders, it is that folder.

    Raises:
        DataError: if it is not, with the nearest folder beside it.
    """
    path = given_path(given)
    if is_folder_or_archive(path):
        return unwrapped(path)
    wanted = "Give a folder, or a zip, that holds one folder of pictures for each class; or a file of arrays."
    if is_address(path) and path.name.lower().endswith(_ARCHIVES):
        raise DataError(f"{path} is not read in object storage. Copy it to this machine, or unpack it there.")
    if path.exists() or is_file(path):
        raise DataError(f"{path} is a file, neither a folder nor an archive. {wanted}")
    above = path.parent
    siblings = [entry.name for entry in visible(above) if entry.is_folder] if is_folder(above) else []
    hint = f" In {path.parent}: {nearest(path.name, siblings)}" if siblings else ""
    raise DataError(f"no such folder: {path}. {wanted}{hint}")


def given_path(given: str | os.PathLike[str]) -> Path:
    """The path that somebody gave; one in object storage is listed anew.

    Raises:
        DataError: if it is an address that nothing is read from.
        StorageError: if the object storage cannot be used.
    """
    if scheme := other_scheme(given):
        raise DataError(f"{given} cannot be read: of addresses, s3:// and gs:// can, {scheme}:// cannot. Copy it here.")
    path = as_path(given)
    if is_address(given):
        look_anew(path)
    return path


def is_folder_or_archive(path: Path) -> bool:
    """Whether it is a folder, an archive, or a folder in one.

    Raises:
        DataError: if it is in a damaged archive.
    """
    try:
        return is_folder(path)
    except ArchiveError as error:
        raise DataError(f"{path} is {error}.") from None


def visible(folder: Path) -> list[Entry]:
    """What is in a folder, sorted by name, without hidden files and what archives leave behind.

    Raises:
        DataError: if it may not be read, or is in a damaged archive.
    """
    try:
        found = [entry for entry in entries(folder) if not entry.name.startswith(".") and entry.name not in _NOT_OURS]
    except PermissionError:
        raise DataError(f"{folder} cannot be read: permission denied. Give yourself the right, or move it.") from None
    except ArchiveError as error:
        raise DataError(f"{folder} is {error}.") from None
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from None
    return sorted(found, key=lambda entry: entry.name)


def walk(folder: Path) -> Iterator[str | Quarantined]:
    """The paths of files at any depth, sorted, hidden ones left out; a folder reached by a link is not entered.

    Raises:
        DataError: if a folder may not be read, or is in a damaged zip.
    """
    waiting = [iter(visible(folder))]  # not by recursion, since folders can be deeper than Python's calls
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif entry.problem:
            yield Quarantined(entry.path, entry.problem)
        elif not entry.is_folder:
            yield entry.path
        elif entry.is_link:
            yield Quarantined(entry.path, "a link to a folder, which is not followed")
        elif len(waiting) > _DEEPEST or len(os.fsencode(entry.path)) > _LONGEST_PATH:
            yield Quarantined(
                entry.path,
                f"a folder more than {_DEEPEST} folders or {_LONGEST_PATH:,} bytes down, which is not entered",
            )
        else:
            waiting.append(iter(visible(as_path(entry.path))))


def class_entries(folder: Path) -> list[Entry]:
    """What is in a folder of class folders. Where there are none but archives, each of these stands for a class."""
    found = visible(folder)
    if any(entry.is_folder for entry in found):
        return found
    labels = {beside(entry.path) for entry in found if entry.name.lower().endswith(".npy")}
    return [_as_class(entry) if _is_archive(entry) else entry for entry in found if entry.path not in labels]


def unwrapped(path: Path) -> Path:
    """The one folder in a zip that was made of a folder of folders; anything else as it is."""
    if is_address(path) or path.is_dir():
        return path
    found = visible(path)
    if len(found) == 1 and found[0].is_folder:
        inner = Path(found[0].path)
        if any(entry.is_folder for entry in visible(inner)):
            return inner
    return path


def _is_archive(entry: Entry) -> bool:
    return entry.name.lower().endswith(_ARCHIVES) and not entry.problem and is_folder_or_archive(as_path(entry.path))


def _as_class(entry: Entry) -> Entry:
    """An archive that is one class, or one side: where all it holds is in a folder called so, that is what it is."""
    inside = visible(Path(entry.path))
    if len(inside) == 1 and inside[0].is_folder and inside[0].name in SIDE_NAMES:
        return inside[0]
    return replace(entry, name=Path(entry.name).stem, is_folder=True)


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the folders in a folder, sorted.

    Raises:
        DataError: if there are none.
    """
    found_there = class_entries(folder)
    names = tuple(sorted(entry.name for entry in found_there if entry.is_folder))
    if not names:
        files = sum(1 for entry in found_there if not entry.problem)
        found = f"it holds {files} file{'s' * (files != 1)} and no folders" if files else "it is empty"
        raise DataError(f"no classes in {folder}: {found}. Put the pictures of each class into a folder of its own.")
    return names


def refuse_overlap(one: Path, other: Path) -> None:
    """Refuse sides of which one is inside the other.

    Raises:
        DataError: if they are.
    """
    first, second = (side if is_address(side) else side.resolve() for side in (one, other))
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

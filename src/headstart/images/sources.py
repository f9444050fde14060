"""Where pictures and labels come from: tables, or folders and zips of class folders, perhaps below train and val."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from headstart.errors import DataError
from headstart.images.folders import (
    class_entries,
    class_names,
    existing_folder,
    given_path,
    is_folder_or_archive,
    refuse_overlap,
    refuse_strangers,
    refuse_unlisted,
    unwrapped,
    walk,
)
from headstart.images.patterns import list_by_pattern, list_by_pattern_for_evaluation
from headstart.images.pictures import SIDE_NAMES, Listing, Picture, Quarantined, Side, check_class_sizes
from headstart.images.places import Entry, is_file
from headstart.images.tables import is_table, list_table, list_table_for_evaluation
from headstart.objects.addresses import as_path


def list_labelled(
    data: str | os.PathLike[str],
    val: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    pattern: str | None = None,
) -> Listing:
    """Find labelled pictures: by a table, by their names, or in one folder per class, perhaps inside train and val.

    A zip or a file of arrays is as good as a folder, and where there are such and no folders, each is that of a class,
    or of a side.
    Files at any depth below a class folder belong to the class. Hidden files and folders are passed over. A folder with
    the name of a side is one if it holds folders in its turn, so a class may be called `train`. Where there is a test
    folder in the data but none for validation, that folder is for validation.

    Args:
        data: the folder, archive or table.
        val: another one, of the same kind, whose pictures are for validation.
        test: another one, of the same kind, whose pictures are for testing.
        classes: the classes there are, in their order; some of them may have no pictures. None for those that have
            folders, sorted.
        pattern: how the label stands in the names of the files, see `headstart.specs.parse_label_pattern`; None where
            folders or a table say it.

    Raises:
        DataError: if there is no such folder, or it holds no classes, or one only, or others than `classes`, or the
            sides do not fit together.
    """
    if is_table(data):
        _refuse_pattern(data, pattern)
        return list_table(data, val, test, classes)
    if pattern is not None:
        return list_by_pattern(data, pattern, val, test, classes)
    root, sides = _root_and_sides(existing_folder(data), val, test)
    names = {side: class_names(folder) for side, folder in sides.items()}
    for side, folder in sides.items():
        if classes is not None:
            refuse_unlisted(names[side], classes, folder)
        else:
            refuse_strangers(names[side], names["train"], folder, sides["train"])
    found: list[Picture | Quarantined] = []
    for side, folder in sides.items():
        # Without a folder for validation headstart takes its pictures from those for training.
        found += _walk_classes(folder, root, None if side == "train" and "val" not in sides else side)
    pictures, skipped = _sorted_out(found)
    listing = Listing(root, pictures, names["train"] if classes is None else tuple(classes), skipped)
    _refuse_too_few(listing, sides, with_list=classes is not None)
    return listing


def list_for_evaluation(data: str | os.PathLike[str], pattern: str | None = None) -> Listing:
    """Find labelled pictures to compare predictions with: a table or a folder of class folders, one class or more.

    Where there are train and val (or test) folders, the pictures are those in the first of val and test.

    Raises:
        DataError: if there is no such folder, or no pictures in class folders.
    """
    if is_table(data):
        _refuse_pattern(data, pattern)
        return list_table_for_evaluation(data)
    if pattern is not None:
        return list_by_pattern_for_evaluation(data, pattern)
    root = existing_folder(data)
    sides = _side_folders(root)
    folder = next((sides[side] for side in ("val", "test", "train") if side in sides), root)
    classes = class_names(folder)
    pictures, skipped = _sorted_out(_walk_classes(folder, folder, None))
    if not pictures:
        raise DataError(f"no pictures in the class folders of {folder}.")
    return Listing(folder, pictures, classes, skipped)


def list_any(paths: Sequence[str | os.PathLike[str]]) -> tuple[Picture, ...]:
    """Find pictures without labels: files are taken as they are, folders and zips at any depth.

    Raises:
        DataError: if there is no such file or folder, or nothing in it.
    """
    pictures: list[Picture] = []
    for given in paths:
        if not os.fspath(given):
            raise DataError("an empty path was given. Give files, or folders of them.")
        path = given_path(given)
        if is_folder_or_archive(path):
            found = [Picture(item, as_path(item).as_posix()) for item in walk(path) if isinstance(item, str)]
            if not found:
                raise DataError(f"no pictures in {path}.")
            pictures += found
        elif is_file(path):
            pictures.append(Picture(str(path), path.as_posix()))
        else:
            raise DataError(f"no such file or folder: {path}")
    return tuple(pictures)


def named_below(
    data: str | os.PathLike[str],
    val: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    pattern: str | None = None,
) -> dict[Side, Path]:
    """The folder that the names of the pictures on each side are below; arguments as for `list_labelled`.

    Nothing is listed for that, so it is quick, and pictures that have gone since do no harm.

    Raises:
        DataError: if there is no such folder.
    """
    if not is_table(data) and pattern is None:
        root, _ = _root_and_sides(existing_folder(data), val, test)
        return {"train": root, "val": root, "test": root}
    places: dict[Side, str | os.PathLike[str]] = {"train": data, "val": val or data, "test": test or data}
    return {
        side: as_path(place).parent if is_table(place) else existing_folder(place) for side, place in places.items()
    }


def _refuse_pattern(table: object, pattern: str | None) -> None:
    if pattern is not None:
        raise DataError(f"{table} says the labels itself; leave the label pattern out.")


def _root_and_sides(
    root: Path, val: str | os.PathLike[str] | None, test: str | os.PathLike[str] | None
) -> tuple[Path, dict[Side, Path]]:
    """The folder that names are below, and the folder of class folders of each side; `train` is always there."""
    sides = _side_folders(root)
    if sides and "train" not in sides:
        raise DataError(f"{root} holds {', '.join(path.name for path in sides.values())} but no train folder.")
    if val is not None:
        sides["val"] = existing_folder(val)
    if "test" in sides and "val" not in sides:
        sides["val"] = sides.pop("test")
    if test is not None:
        sides["test"] = existing_folder(test)
    if set(sides) == {"train"}:  # a lone train folder is a folder of classes one level further down
        root = sides["train"]
    sides = {"train": sides.pop("train", root), **sides}
    for first, second in combinations(sides.values(), 2):
        refuse_overlap(first, second)
    return root, sides


def _side_folders(root: Path) -> dict[Side, Path]:
    """The folders that stand for sides: those with the name of one that hold class folders in their turn."""
    folders = [entry for entry in class_entries(root) if entry.is_folder]
    sides: dict[Side, Entry] = {}
    for folder in folders:
        side = SIDE_NAMES.get(folder.name.lower())
        if side is None or not any(inner.is_folder for inner in class_entries(unwrapped(as_path(folder.path)))):
            continue
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
    return {side: unwrapped(as_path(folder.path)) for side, folder in sides.items()}


def _walk_classes(folder: Path, root: Path, side: Side | None) -> Iterator[Picture | Quarantined]:
    above = os.fspath(root)
    for entry in class_entries(folder):
        if not entry.is_folder:
            yield Quarantined(entry.path, entry.problem or "it is in no class folder")
            continue
        for item in walk(as_path(entry.path)):
            if isinstance(item, Quarantined):
                yield item
            else:
                name = os.path.relpath(item, above).replace(os.sep, "/")
                yield Picture(item, name, entry.name, side)


def _sorted_out(items: Iterable[Picture | Quarantined]) -> tuple[tuple[Picture, ...], tuple[Quarantined, ...]]:
    found = list(items)
    return (
        tuple(item for item in found if isinstance(item, Picture)),
        tuple(item for item in found if isinstance(item, Quarantined)),
    )


def _refuse_too_few(listing: Listing, sides: dict[Side, Path], with_list: bool) -> None:
    """Refuse sides without pictures and classes with too few; a class from a list may have none at all."""
    if len(listing.classes) < 2:
        raise DataError(
            f"only one class in {listing.root}: {listing.classes[0]!r}. A classifier needs at least two class folders."
        )
    for side, folder in sides.items():
        if side != "train" and not listing.on(side):
            raise DataError(f"no pictures in the class folders of {folder}.")
    needed = listing.pictured if with_list else listing.classes
    if len(needed) < 2:
        raise DataError(
            f"only {len(needed)} of the listed classes have pictures in {listing.root}. Add some of another."
        )
    check_class_sizes([picture for picture in listing.pictures if picture.is_learnable], needed, sides["train"])

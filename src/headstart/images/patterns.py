"""Pictures whose label stands in the name of their file, as `cat.17.jpg`, in one folder or any below it."""

import os
from collections.abc import Sequence
from pathlib import Path

from headstart.errors import DataError
from headstart.images.collect import Found, collect, collect_for_evaluation
from headstart.images.folders import existing_folder, walk
from headstart.images.pictures import Listing, Picture, Quarantined
from headstart.specs import parse_label_pattern


def list_by_pattern(
    data: str | os.PathLike[str],
    pattern: str,
    val: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Listing:
    """Find labelled pictures by their names. Those with other names are skipped.

    Args:
        data: the folder, or a zip.
        pattern: see `headstart.specs.parse_label_pattern`.
        val: another folder, whose pictures are for validation.
        test: another folder, whose pictures are for testing.
        classes: the classes there are, in their order; None for those of the pictures to learn from, sorted.

    Raises:
        DataError: if it is no pattern, there is no such folder, or its classes and those of the others do not fit
            together.
    """
    return collect(data, val, test, classes, lambda place: _labelled(place, pattern))


def list_by_pattern_for_evaluation(data: str | os.PathLike[str], pattern: str) -> Listing:
    """Find labelled pictures by their names, to compare predictions with.

    Raises:
        DataError: if it is no pattern, there is no such folder, or no picture with such a name.
    """
    return collect_for_evaluation(data, _labelled(data, pattern))


def _labelled(data: str | os.PathLike[str], pattern: str) -> Found:
    try:
        form = parse_label_pattern(pattern)
    except ValueError as error:
        raise DataError(str(error)) from None
    root = existing_folder(data)
    found: list[Picture | Quarantined] = []
    for item in walk(root):
        if isinstance(item, Quarantined):
            found.append(item)
            continue
        name = Path(os.path.relpath(item, root)).as_posix()
        label = form.find(name)
        found.append(Picture(item, name, label) if label else Quarantined(item, f"its name does not match {pattern}"))
    return found

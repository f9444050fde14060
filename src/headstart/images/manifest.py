"""The split of an earlier training: which content was on which side, whatever its file is called now."""

import csv
import io
import os

from headstart.errors import DataError
from headstart.images.pictures import SIDE_NAMES, Side
from headstart.images.places import opened

_COLUMNS = ("digest", "side")


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Side]:
    """Read `splits.csv`, as every RUN has one.

    Returns:
        The side of each digest.

    Raises:
        DataError: if it cannot be read, or has a content on two sides.
    """
    found: dict[str, Side] = {}
    try:
        with io.TextIOWrapper(opened(path), newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise DataError(f"{path} is no split: it has no columns digest and side. Give the splits.csv of a RUN.")
            for row in rows:
                digest, side = row["digest"] or "", SIDE_NAMES.get((row["side"] or "").lower())
                if not digest:
                    continue
                if side is None or found.setdefault(digest, side) != side:
                    raise DataError(
                        f"{path}, line {rows.line_num}: {row['side']!r} "
                        + (
                            "is no side of the split."
                            if side is None
                            else "contradicts an earlier line of that digest."
                        )
                    )
    except OSError as error:
        raise DataError(f"the split {path} cannot be read: {error.strerror or error}.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table that can be read: {error}.") from None
    if not found:
        raise DataError(f"{path} holds no pictures. Give the splits.csv of a RUN.")
    return found

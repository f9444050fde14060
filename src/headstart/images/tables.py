"""Tables of pictures: CSV files with a column of paths, one of labels, and perhaps one of sides."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from headstart.errors import DataError, nearest
from headstart.images.pictures import SIDE_NAMES, Listing, Picture, Quarantined, Side, check_class_sizes

Column = Literal["path", "label", "side"]

COLUMNS: dict[Column, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "picture"),
    "label": ("label", "class", "category", "target"),
    "side": ("split", "side", "set", "subset"),
}
"""What the columns may be called, in whichever case."""

_DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether it is called like a table."""
    return Path(path).suffix.lower() in _DELIMITERS and not os.path.isdir(path)


def list_table(
    data: str | os.PathLike[str],
    val: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Listing:
    """Find labelled pictures by a table.

    Paths are relative to the table's own folder and may lead into zips. Sides are `train`, `val` or `test` under the
    names that their folders may have; without a column of sides, or with none for validation, headstart splits.

    Args:
        data: the table.
        val: another one, whose pictures are for validation.
        test: another one, whose pictures are for testing.
        classes: the classes there are, in their order; None for those of the pictures to learn from, sorted.

    Raises:
        DataError: if a table cannot be read or has no such columns, or its classes and sides do not fit together.
    """
    found = list(_rows(data))
    given: dict[Side, str | os.PathLike[str]] = {}
    if val is not None:
        given["val"] = val
    if test is not None:
        given["test"] = test
    pictures = [item for item in found if isinstance(item, Picture) and item.side not in given]
    skipped = [item for item in found if isinstance(item, Quarantined)]
    if not any(picture.side == "val" for picture in pictures) and "val" not in given:
        # As with folders: what is called test, and is all there is to check on, is for validation.
        pictures = [_on(picture, "val") if picture.side == "test" else picture for picture in pictures]
    for side, table in given.items():
        rows = list(_rows(table))
        pictures += [_on(item, side) for item in rows if isinstance(item, Picture)]
        skipped += [item for item in rows if isinstance(item, Quarantined)]
    split = any(picture.side == "val" for picture in pictures)
    sided = [_on(p, "train" if split else None) if p.is_learnable else p for p in pictures]
    return _checked(Path(data), sided, skipped, classes)


def list_table_for_evaluation(data: str | os.PathLike[str]) -> Listing:
    """Find labelled pictures to compare predictions with.

    Where the table has sides, they are those for validation, or else for testing.

    Raises:
        DataError: if the table cannot be read or names no pictures.
    """
    found = list(_rows(data))
    pictures = [item for item in found if isinstance(item, Picture)]
    if not pictures:
        raise DataError(f"no pictures in {data}.")
    sides = {picture.side for picture in pictures}
    wanted = next((side for side in ("val", "test") if side in sides), None)
    chosen = tuple(p._replace(side=None) for p in pictures if wanted is None or p.side == wanted)
    names = tuple(sorted({str(picture.label) for picture in chosen}))
    return Listing(Path(data), chosen, names, tuple(item for item in found if isinstance(item, Quarantined)))


def _on(picture: Picture, side: Side | None) -> Picture:
    return picture._replace(side=side)


def _checked(
    table: Path, pictures: Sequence[Picture], skipped: Sequence[Quarantined], classes: Sequence[str] | None
) -> Listing:
    learned = sorted({str(picture.label) for picture in pictures if picture.is_learnable})
    names = learned if classes is None else list(classes)
    for picture in pictures:
        if picture.label not in names:
            where = "the list of classes" if classes is not None else "the pictures to learn from"
            raise DataError(
                f"{picture.name} in {table} is of class {picture.label!r}, which is not among {where}; "
                f"{nearest(str(picture.label), names)}"
            )
    if not learned:
        raise DataError(f"no pictures to learn from in {table}.")
    if len(learned) == 1:
        raise DataError(f"only one class to learn from in {table}: {learned[0]!r}. A classifier needs at least two.")
    listing = Listing(table, tuple(pictures), tuple(names), tuple(skipped))
    check_class_sizes([picture for picture in pictures if picture.is_learnable], learned, table)
    return listing


def _rows(table: str | os.PathLike[str]) -> Iterator[Picture | Quarantined]:
    """The pictures of a table in its order, those named before or without a label apart."""
    path = Path(table)
    seen: dict[str, int] = {}
    for number, row in _read(path):
        name = row["path"].strip()
        if not name:
            yield Quarantined(str(path), f"line {number} has no path")
            continue
        file = os.path.normpath(path.parent / name)
        label = row["label"].strip()
        if not label:
            yield Quarantined(file, f"it has no label on line {number} of {path}")
        elif file in seen:
            yield Quarantined(file, f"it is on line {number} of {path} again; line {seen[file]} counts")
        else:
            seen[file] = number
            yield Picture(file, name, label, _side(path, number, row.get("side")))


def _side(table: Path, number: int, said: str | None) -> Side | None:
    if said is None:
        return None
    side = SIDE_NAMES.get(said.strip().lower())
    if side is None:
        raise DataError(f"{table}, line {number}: {said!r} is no side of the split. Use train, val or test.")
    return side


def _read(path: Path) -> Iterator[tuple[int, dict[Column, str]]]:
    """Line numbers and the cells that matter."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = max(_DELIMITERS[path.suffix.lower()], key=header.count)
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter)
            places = _places(path, next(rows, []))
            for row in rows:
                if row:
                    yield rows.line_num, {name: row[at] if at < len(row) else "" for name, at in places.items()}
    except FileNotFoundError:
        raise DataError(f"no such table: {path}. Give a CSV file with a column of paths and one of labels.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8. Save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table that can be read: {error}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _places(path: Path, header: Sequence[str]) -> dict[Column, int]:
    names = [name.strip().lower() for name in header]
    found: dict[Column, int] = {}
    for column, known in COLUMNS.items():
        places = [place for place, name in enumerate(names) if name in known]
        if len(places) > 1:
            raise DataError(f"{path} has {len(places)} columns for the {column}: {_listed(header, places)}. Keep one.")
        if places:
            found[column] = places[0]
        elif column != "side":
            raise DataError(
                f"{path} has no column for the {column}; its columns are {', '.join(map(repr, header)) or 'none'}. "
                f"Call one of them {' or '.join(known[:3])}."
            )
    return found


def _listed(header: Sequence[str], places: Sequence[int]) -> str:
    return ", ".join(repr(header[place]) for place in places)

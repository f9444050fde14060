"""Tables of pictures: CSV and Parquet files with a column of paths, one of labels, and perhaps of sides and groups."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from headstart.errors import DataError, MissingExtraError
from headstart.images.collect import Found, collect, collect_for_evaluation
from headstart.images.pictures import SIDE_NAMES, Listing, Picture, Quarantined, Side
from headstart.images.places import opened
from headstart.objects.addresses import as_path, joined

Column = Literal["path", "label", "side", "group"]

COLUMNS: dict[Column, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "picture"),
    "label": ("label", "class", "category", "target"),
    "side": ("split", "side", "set", "subset"),
    "group": ("group", "patient", "patient_id", "subject"),
}
"""What the columns may be called, in whichever case."""

_LONGEST_HEADER = 1 << 16
_NEEDED = ("path", "label")
_DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")

Cells = dict[Column, str]


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether it is called like a table."""
    return Path(path).suffix.lower() in (*_DELIMITERS, *_PARQUET) and not os.path.isdir(path)


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
    return collect(data, val, test, classes, _found)


def list_table_for_evaluation(data: str | os.PathLike[str]) -> Listing:
    """Find labelled pictures to compare predictions with.

    Where the table has sides, they are those for validation, or else for testing.

    Raises:
        DataError: if the table cannot be read or names no pictures.
    """
    return collect_for_evaluation(data, _found(data))


def _found(table: str | os.PathLike[str]) -> Found:
    return list(_rows(table))


def _rows(table: str | os.PathLike[str]) -> Iterator[Picture | Quarantined]:
    """The pictures of a table in its order, those named before or without a label apart."""
    path = as_path(table)
    seen: dict[str, int] = {}
    for number, row in _read(path):
        name = row["path"].strip()
        if not name:
            yield Quarantined(str(path), f"line {number} has no path")
            continue
        file = joined(path.parent, name)
        label = row["label"].strip()
        if not label:
            yield Quarantined(file, f"it has no label on line {number} of {path}")
        elif file in seen:
            yield Quarantined(file, f"it is on line {number} of {path} again; line {seen[file]} counts")
        else:
            seen[file] = number
            side, group = _side(path, number, row.get("side")), row.get("group", "").strip()
            yield Picture(file, name, label, side, group or None)


def _side(table: Path, number: int, said: str | None) -> Side | None:
    if said is None:
        return None
    side = SIDE_NAMES.get(said.strip().lower())
    if side is None:
        raise DataError(f"{table}, line {number}: {said!r} is no side of the split. Use train, val or test.")
    return side


def _read(path: Path) -> Iterator[tuple[int, Cells]]:
    """Line numbers and the cells that matter."""
    try:
        yield from _read_parquet(path) if path.suffix.lower() in _PARQUET else _read_csv(path)
    except FileNotFoundError:
        raise DataError(f"no such table: {path}. Give a CSV file with a column of paths and one of labels.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8. Save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table that can be read: {error}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _read_csv(path: Path) -> Iterator[tuple[int, Cells]]:
    with io.TextIOWrapper(opened(path), newline="", encoding="utf-8-sig") as file:
        header = file.readline(_LONGEST_HEADER)
        delimiter = max(_DELIMITERS[path.suffix.lower()], key=header.count)
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        places = _places(path, next(rows, []))
        for row in rows:
            if row:
                yield rows.line_num, {name: row[at] if at < len(row) else "" for name, at in places.items()}


def _read_parquet(path: Path) -> Iterator[tuple[int, Cells]]:
    """Rows of a Parquet file, counted from 1, some thousand in memory at a time."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(f"reading {path}", "parquet") from None
    with opened(path) as file:
        try:
            table = parquet.ParquetFile(file)
            header = table.schema_arrow.names
            places = _places(path, header)
            number = 0
            for batch in table.iter_batches(columns=[header[at] for at in places.values()]):
                columns = {name: batch.column(header[at]).to_pylist() for name, at in places.items()}
                for row in zip(*columns.values(), strict=True):
                    number += 1
                    yield number, {name: _cell(value) for name, value in zip(columns, row, strict=True)}
        except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:  # whatever the damage provokes
            raise DataError(f"{path} is no Parquet file that can be read: {' '.join(str(error).split())}") from None


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _places(path: Path, header: Sequence[str]) -> dict[Column, int]:
    names = [name.strip().lower() for name in header]
    found: dict[Column, int] = {}
    for column, known in COLUMNS.items():
        places = [place for place, name in enumerate(names) if name in known]
        if len(places) > 1:
            raise DataError(f"{path} has {len(places)} columns for the {column}: {_listed(header, places)}. Keep one.")
        if places:
            found[column] = places[0]
        elif column in _NEEDED:
            raise DataError(
                f"{path} has no column for the {column}; its columns are {', '.join(map(repr, header)) or 'none'}. "
                f"Call one of them {' or '.join(known[:3])}."
            )
    return found


def _listed(header: Sequence[str], places: Sequence[int]) -> str:
    return ", ".join(repr(header[place]) for place in places)

"""The files that features are exported to, each written in pieces: NumPy's `.npz`, HDF5, Parquet."""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headstart.errors import MissingExtraError
from headstart.feature_files.table import TEXTS, Table, as_text
from headstart.loading import is_installed
from headstart.progress import Advance

Write = Callable[[Path, Table, Advance], None]
"""Writes a table to a file that is not there yet, and tells of every row of features that is written."""

_BEGINNING_OF_ZIP = (1980, 1, 1, 0, 0, 0)  # so that the same features make the same file


def write_npz(path: Path, table: Table, advance: Advance) -> None:
    """Write what `numpy.load` reads: one array for each column, `classes`, and `about` as JSON."""
    count = (len(table),)
    with zipfile.ZipFile(path, "w") as archive:
        for name in TEXTS:
            _write_array(archive, name, count, _dtype(table, name), _pieces(table, name))
        _write_array(archive, "labels", count, np.dtype(np.int64), (table.labels(rows) for rows in table.pieces()))
        for name, value in (("classes", _classes(table)), ("about", json.dumps(table.about))):
            array = np.array(value)
            _write_array(archive, name, array.shape, array.dtype, [array])
        features = _told(table, advance)
        _write_array(archive, "features", (*count, table.width), np.dtype(np.float32), features, zipfile.ZIP_STORED)


def write_hdf5(path: Path, table: Table, advance: Advance) -> None:
    """Write a data set for each column, and `classes`; what `about` says are attributes of the file."""
    import h5py

    with h5py.File(path, "w") as file:
        text = h5py.string_dtype("utf-8")
        file.create_dataset("classes", data=_classes(table), dtype=text)
        columns = {name: file.create_dataset(name, (len(table),), text) for name in TEXTS}
        labels = file.create_dataset("labels", (len(table),), np.int64)
        features = file.create_dataset("features", (len(table), table.width), np.float32)
        for rows in table.pieces():
            for name, column in columns.items():
                column[rows] = table.texts(name, rows)
            labels[rows] = table.labels(rows)
            features[rows] = table.features(rows)
            advance(rows.stop - rows.start)
        for name, value in table.about.items():
            file.attrs[name] = value if isinstance(value, str | int) else json.dumps(value)


def write_parquet(path: Path, table: Table, advance: Advance) -> None:
    """Write a row for each picture, its features as a list of fixed length; `about` and `classes` are metadata."""
    import pyarrow
    from pyarrow import parquet

    singular = {name: name.removesuffix("s") for name in TEXTS}
    vector = pyarrow.list_(pyarrow.float32(), table.width)
    texts = [(column, pyarrow.string()) for column in ("class", *singular.values())]
    about = json.dumps({**table.about, "classes": _classes(table)})
    schema = pyarrow.schema([("label", pyarrow.int64()), *texts, ("features", vector)], {"headstart": about})
    classes = np.array(_classes(table), object)
    with parquet.ParquetWriter(path, schema, use_dictionary=["class", "side", "group"]) as writer:
        for rows in table.pieces():
            labels, values = table.labels(rows), table.features(rows)
            columns: dict[str, Any] = {column: table.texts(name, rows) for name, column in singular.items()}
            columns |= {"label": labels, "class": classes[labels]}
            columns["features"] = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.ravel()), table.width)
            writer.write_table(pyarrow.table(columns, schema))
            advance(rows.stop - rows.start)


WRITERS: dict[str, Write] = {".npz": write_npz, ".h5": write_hdf5, ".parquet": write_parquet}
"""By the suffix of the file."""

_NEEDED = {".h5": ("h5py", "keras"), ".parquet": ("pyarrow", "parquet")}


def require(suffix: str) -> None:
    """Make sure that what writes a format is installed.

    Raises:
        MissingExtraError: if it is not.
    """
    module, extra = _NEEDED.get(suffix, ("numpy", ""))
    if not is_installed(module):
        raise MissingExtraError(f"writing {suffix}", extra)


def _classes(table: Table) -> list[str]:
    return [as_text(name) for name in table.classes]


def _pieces(table: Table, column: str) -> Iterator[list[str]]:
    return (table.texts(column, rows) for rows in table.pieces())


def _dtype(table: Table, column: str) -> np.dtype:
    """The type of NumPy's texts that are all as long as the longest."""
    return np.dtype(f"U{max(len(text) for texts in _pieces(table, column) for text in texts) or 1}")


def _told(table: Table, advance: Advance) -> Iterator[np.ndarray]:
    for rows in table.pieces():
        yield table.features(rows)
        advance(rows.stop - rows.start)


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    pieces: Iterable[object],
    compression: int = zipfile.ZIP_DEFLATED,
) -> None:
    """Write one array of a `.npz`, rows first (NumPy, `numpy.lib.format`)."""
    member = zipfile.ZipInfo(f"{name}.npy", _BEGINNING_OF_ZIP)
    member.compress_type = compression
    with archive.open(member, "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).tobytes())

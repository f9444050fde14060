"""The same pictures from every source there is: one data set, one result, and nothing is computed twice."""

import csv
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

import headstart as hs
from tests.conftest import make_picture
from tests.test_train import SMALL

CLASSES = ("blue", "green", "red")
COUNT = 16
ARRAYS = {
    name: np.stack([make_picture(1000 * hue + n, hue=hue) for n in range(COUNT)]) for hue, name in enumerate(CLASSES)
}
ALL, LABELS = np.concatenate(list(ARRAYS.values())), np.repeat(CLASSES, COUNT)


def folder(at: Path) -> Path:
    for name, pixels in ARRAYS.items():
        (at / "data" / name).mkdir(parents=True)
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(at / "data" / name / f"{number:02d}.ppm")
    return at / "data"


def zipped(files: list[Path], above: Path, to: Path) -> None:
    to.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(above))


def one_zip(at: Path) -> Path:
    data = folder(at)
    zipped(sorted(data.rglob("*.ppm")), data, at / "data.zip")
    return at / "data.zip"


def a_zip_for_each_class(at: Path) -> Path:
    data = folder(at)
    for name in CLASSES:
        zipped(sorted((data / name).iterdir()), data / name, at / "zips" / f"{name}.zip")
    return at / "zips"


def rows(at: Path) -> list[tuple[str, str]]:
    return [(file.relative_to(at).as_posix(), file.parent.name) for file in sorted(folder(at).rglob("*.ppm"))]


def csv_table(at: Path) -> Path:
    with open(at / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows(at)])
    return at / "table.csv"


def parquet_table(at: Path) -> Path:
    paths, labels = zip(*rows(at), strict=True)
    parquet.write_table(pyarrow.table({"path": paths, "label": labels}), at / "table.parquet")
    return at / "table.parquet"


def labels_in_names(at: Path) -> Path:
    (at / "flat").mkdir()
    for name, pixels in ARRAYS.items():
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(at / "flat" / f"{name}.{number:02d}.ppm")
    return at / "flat"


def npz_of_classes(at: Path) -> Path:
    np.savez(at / "data.npz", **ARRAYS)
    return at / "data.npz"


def npz_of_labels(at: Path) -> Path:
    np.savez_compressed(at / "data.npz", x=ALL, y=LABELS)
    return at / "data.npz"


def npy(at: Path) -> Path:
    np.save(at / "x.npy", ALL)
    np.save(at / "y.npy", LABELS)
    return at / "x.npy"


def npy_for_each_class(at: Path) -> Path:
    (at / "arrays").mkdir()
    for name, pixels in ARRAYS.items():
        np.save(at / "arrays" / f"{name}.npy", pixels)
    return at / "arrays"


def hdf5(at: Path) -> Path:
    with h5py.File(at / "data.h5", "w") as file:
        file.create_dataset("images", data=ALL, chunks=True, compression="gzip")
        file["labels"] = np.repeat(np.arange(3), COUNT)
        file["class_names"] = [name.encode() for name in CLASSES]
    return at / "data.h5"


def pickled(at: Path) -> Path:
    (at / "data.pickle").write_bytes(pickle.dumps(ARRAYS))
    return at / "data.pickle"


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[Path, dict[str, Any], hs.Run]:
    """What the plain folder gives, and the store that it leaves."""
    at = tmp_path_factory.mktemp("reference")
    os.environ["HEADSTART_STORE"] = str(at / "store")
    run = hs.train(folder(at), out=at / "run", **SMALL)
    return at, run.metrics, run


@pytest.mark.parametrize(
    "make",
    [
        *(folder, one_zip, a_zip_for_each_class, csv_table, parquet_table, labels_in_names),
        *(npz_of_classes, npz_of_labels, npy, npy_for_each_class, hdf5, pickled),
    ],
)
def test_the_same_pictures_give_the_same_data_set_and_the_same_result(
    reference, make: Callable[[Path], Path], tmp_path, monkeypatch
):
    at, expected, first = reference
    monkeypatch.setenv("HEADSTART_STORE", str(at / "store"))
    more = {"label_pattern": "{label}.*"} if make is labels_in_names else {}
    run = hs.train(make(tmp_path), out=tmp_path / "run", **more, **SMALL)
    assert run.about["dataset"] == first.about["dataset"]
    for name in ("accuracy", "loss", "n", "confusion", "classes"):
        assert run.metrics[name] == expected[name], name
    assert (run.metrics["extracted"], run.metrics["reused"]) == (0, 3 * COUNT)


def test_arrays_are_evaluated_and_predicted_as_folders_are(reference, tmp_path):
    at, _, run = reference
    assert run.evaluate(npz_of_labels(tmp_path)).figures == run.evaluate(at / "data").figures
    labels = [prediction.label for prediction in run.predict(at / "data")]
    np.save(tmp_path / "new.npy", ALL)
    assert [prediction.label for prediction in run.predict(tmp_path / "new.npy")] == labels

"""A file of arrays is a folder of pictures: the same ones, whatever the file, and nothing in it is executed."""

import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image

from headstart.errors import DataError
from headstart.images import array_formats
from headstart.images.decode import DecodeRecipe, decode
from headstart.images.places import is_file, is_folder, read_file, stat_of
from headstart.images.sources import list_any, list_for_evaluation, list_labelled

PICTURES = np.random.default_rng(0).integers(0, 256, (7, 8, 9, 3), np.uint8)
LABELS = np.array(["cat", "dog", "cat", "cat", "dog", "dog", "cat"])
NUMBERS = (LABELS == "dog").astype(int)


def found(data: Path, **options) -> list[tuple[str | None, bytes]]:
    return [(p.label, read_file(p.path)) for p in list_labelled(data, **options).pictures]


@pytest.fixture
def wanted(tmp_path) -> list[tuple[str | None, bytes]]:
    """What a folder of the same pictures as PPM files gives."""
    for number, (pixels, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
        (tmp_path / "folder" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "folder" / label / f"{number}.ppm")
    return found(tmp_path / "folder")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_with_an_array_for_each_class_holds_what_the_folder_holds(wanted, tmp_path, save):
    save(tmp_path / "pets.npz", cat=PICTURES[LABELS == "cat"], dog=PICTURES[LABELS == "dog"])
    assert found(tmp_path / "pets.npz") == wanted


@pytest.mark.parametrize(
    "labels",
    [LABELS, NUMBERS, NUMBERS[:, None], np.eye(2)[NUMBERS], NUMBERS == 1, NUMBERS.astype(float)],
    ids=["texts", "integers", "column", "one-hot", "truth values", "whole floats"],
)
@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("images", "labels"), ("data", "target"), ("arr_0", "arr_1")])
def test_an_npz_of_pictures_and_labels_holds_what_the_folder_holds(wanted, tmp_path, labels, x, y):
    np.savez(tmp_path / "pets.npz", **{x: PICTURES, y: labels, "class_names": np.array(["cat", "dog"])})
    assert found(tmp_path / "pets.npz") == wanted


def test_integers_without_names_are_classes_by_their_digits(tmp_path):
    np.savez(tmp_path / "pets.npz", x=PICTURES, y=NUMBERS)
    assert list_labelled(tmp_path / "pets.npz").classes == ("0", "1")


def test_an_hdf5_file_of_pictures_and_labels_holds_what_the_folder_holds(wanted, tmp_path):
    with h5py.File(tmp_path / "pets.h5", "w") as file:
        file.create_dataset("images", data=PICTURES, chunks=(2, 8, 9, 3), compression="gzip")
        file["labels"] = [label.encode() for label in LABELS]
    assert found(tmp_path / "pets.h5") == wanted


def test_the_groups_of_an_hdf5_file_are_folders(wanted, tmp_path):
    with h5py.File(tmp_path / "pets.h5", "w") as file:
        for label in ("cat", "dog"):
            file[f"pictures/{label}"] = PICTURES[label == LABELS]
    assert found(tmp_path / "pets.h5") == wanted


def test_an_npy_file_is_labelled_by_the_one_beside_it(wanted, tmp_path):
    np.save(tmp_path / "x_train.npy", PICTURES)
    np.save(tmp_path / "y_train.npy", LABELS)
    assert found(tmp_path / "x_train.npy") == wanted


def test_changed_labels_are_noticed(tmp_path):
    np.save(tmp_path / "x.npy", PICTURES)
    np.save(tmp_path / "y.npy", LABELS)
    assert list_labelled(tmp_path / "x.npy").classes == ("cat", "dog")
    np.save(tmp_path / "y.npy", np.where(LABELS == "cat", "cow", LABELS))
    assert list_labelled(tmp_path / "x.npy").classes == ("cow", "dog")


def test_a_folder_with_an_npy_file_for_each_class(wanted, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "arrays").mkdir(exist_ok=True)
        np.save(tmp_path / "arrays" / f"{label}.npy", PICTURES[label == LABELS])
    assert found(tmp_path / "arrays") == wanted


def test_a_folder_of_npy_files_with_sides_and_labels(tmp_path):
    for side, first in (("train", 0), ("val", 1)):
        np.save(tmp_path / f"x_{side}.npy", PICTURES[first:])
        np.save(tmp_path / f"y_{side}.npy", LABELS[first:])
    listing = list_labelled(tmp_path)
    assert [len(listing.on(side)) for side in ("train", "val")] == [7, 6]
    assert (listing.classes, listing.skipped) == (("cat", "dog"), ())


def test_an_npz_as_keras_datasets_are_kept_has_sides(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=PICTURES, y_train=NUMBERS, x_test=PICTURES[:3], y_test=NUMBERS[:3])
    listing = list_labelled(tmp_path / "mnist.npz")
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [7, 3, 0]
    assert len(list_for_evaluation(tmp_path / "mnist.npz").pictures) == 3


def test_sides_in_files_of_their_own(tmp_path):
    np.savez(tmp_path / "a.npz", x=PICTURES, y=NUMBERS)
    np.savez(tmp_path / "b.npz", x=PICTURES[:3], y=NUMBERS[:3])
    listing = list_labelled(tmp_path / "a.npz", val=tmp_path / "b.npz")
    assert [len(listing.on(side)) for side in ("train", "val")] == [7, 3]


def test_arrays_without_labels_can_be_predicted(tmp_path):
    np.save(tmp_path / "new.npy", PICTURES)
    pictures = list_any([tmp_path / "new.npy"])
    assert [Path(p.path).name for p in pictures][:2] == ["0.ppm", "1.ppm"]
    assert len(pictures) == 7


@pytest.mark.parametrize(
    ("values", "pixels"),
    [
        (np.array([[0, 128, 255]], np.uint8), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 127.6, 254.9]], np.float32), [0, 128, 255]),
        (np.array([[0, 128, 255]], np.int64), [0, 128, 255]),
        (np.array([[0, 0x80FF, 65535]], np.uint16), [0, 128, 255]),
        (np.array([[False, True, True]]), [0, 255, 255]),
        (np.array([[0, 1, 1]], np.int32), [0, 255, 255]),
    ],
)
def test_pixels_of_any_type_become_bytes(tmp_path, values, pixels):
    np.save(tmp_path / "grey.npy", values[None])
    (picture,) = list_any([tmp_path / "grey.npy"])
    assert read_file(picture.path) == b"P5\n3 1\n255\n" + bytes(pixels)


@pytest.mark.parametrize(
    "pictures",
    [PICTURES, np.moveaxis(PICTURES, 3, 1), np.asfortranarray(PICTURES), np.concatenate([PICTURES] * 2, 3)[..., :4]],
    ids=["channels last", "channels first", "column by column", "with alpha"],
)
def test_layouts(tmp_path, pictures):
    np.save(tmp_path / "some.npy", pictures)
    first = list_any([tmp_path / "some.npy"])[0]
    assert np.array_equal(decode(read_file(first.path), DecodeRecipe(8, 9)), PICTURES[0])


def test_one_channel_is_grey(tmp_path):
    np.save(tmp_path / "some.npy", PICTURES[..., :1])
    first = list_any([tmp_path / "some.npy"])[0]
    assert np.array_equal(decode(read_file(first.path), DecodeRecipe(8, 9))[..., 2], PICTURES[0, ..., 0])


def test_no_pictures_and_no_labels_are_no_classes(tmp_path):
    np.savez(tmp_path / "none.npz", x=PICTURES[:0], y=NUMBERS[:0])
    with pytest.raises(DataError, match="no classes in .*: it is empty"):
        list_labelled(tmp_path / "none.npz")


def test_members_are_found_by_name_and_no_others(tmp_path):
    np.savez(tmp_path / "pets.npz", cat=PICTURES, dog=PICTURES)
    archive = tmp_path / "pets.npz"
    assert is_folder(archive)
    assert is_folder(archive / "cat")
    assert is_file(archive / "cat" / "6.ppm")
    for name in ("cat/7.ppm", "cat/06.ppm", "cat/6.png", "cat/-1.ppm", "cow/0.ppm", "cat/٣.ppm", "cat/" + "9" * 30):
        assert not is_file(archive / name), name
        with pytest.raises(OSError, match="no such picture in the file"):
            read_file(str(archive / name))
    assert stat_of(str(archive / "cat" / "6.ppm")) == stat_of(str(archive))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.zeros((3, 3))},
            "a file without an array of pictures; it holds a float64 (3, 3). Needed are pictures (count, height, "
            "width, channels) with a name like x_train and labels with one like y_train, or one array of pictures for "
            "each class, by its name",
        ),
        (
            {"x": PICTURES - 1.0, "y": NUMBERS},
            "a file in which x holds values from -1 to 254, which are no pixels: these go from 0 to 255, or from 0 to "
            "1",
        ),
        (
            {"x": np.full((2, 3, 3), np.nan), "y": NUMBERS[:2]},
            "a file in which x holds values from nan to nan, which are no pixels: these go from 0 to 255, or from 0 "
            "to 1",
        ),
        (
            {"x": np.zeros((2, 5, 5, 7), np.uint8), "y": NUMBERS[:2]},
            "a file in which x has the shape (2, 5, 5, 7); a picture has 1, 3 or 4 channels, first or last",
        ),
        (
            {"x": PICTURES, "y": np.ones((7, 2))},
            "a file in which the rows of y are not one-hot: one 1 in each, and zeros",
        ),
        (
            {"x": PICTURES, "y": NUMBERS + 0.5},
            "a file in which y holds numbers that are not whole, so they are no labels",
        ),
        (
            {"x": PICTURES, "y": NUMBERS + 1, "class_names": np.array(["cat", "dog"])},
            "a file in which y counts to 2, with 2 class names",
        ),
        (
            {"x": PICTURES, "y": np.array(["../dog", *LABELS[1:]])},
            "a file in which y has the label '../dog', which no folder could have",
        ),
        (
            {"x": np.array([PICTURES, None], object)},
            "an array of Python objects, which could run code when it is read, so it is not",
        ),
    ],
)
def test_what_is_no_set_of_pictures_is_refused_in_one_sentence(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError) as caught:
        list_labelled(tmp_path / "bad.npz")
    assert str(caught.value) == f"{tmp_path}/bad.npz is {message}."


def test_an_array_that_is_cut_off_is_refused(tmp_path):
    np.save(tmp_path / "new.npy", PICTURES)
    os.truncate(tmp_path / "new.npy", 600)
    with pytest.raises(DataError, match=r"new\.npy is damaged: an array of \(7, 8, 9, 3\) uint8 takes 1,512 bytes"):
        list_any([tmp_path / "new.npy"])


def test_an_array_that_says_it_is_huge_takes_no_memory(tmp_path):
    with open(tmp_path / "new.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**5, 10**5, 3)}
        )
    with pytest.raises(DataError, match="damaged: an array"):
        list_any([tmp_path / "new.npy"])


def test_a_packed_array_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "new.npz", x=np.zeros((100, 8, 8), np.uint8))
    monkeypatch.setattr(array_formats.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(DataError, match="too large to be unpacked"):
        list_any([tmp_path / "new.npz"])


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = PICTURES
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
    with pytest.raises(DataError, match="x is a link out of its place, which could lead to any file"):
        list_any([tmp_path / "link.h5"])
    layout = h5py.VirtualLayout((7, 8, 9, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (7, 8, 9, 3))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    (tmp_path / "secret").write_bytes(bytes(7 * 8 * 9 * 3))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("x", (7, 8, 9, 3), np.uint8, external=[(str(tmp_path / "secret"), 0, 7 * 8 * 9 * 3)])
    for name in ("virtual.h5", "external.h5"):
        with pytest.raises(DataError, match="the data of x is in another file"):
            list_any([tmp_path / name])


def test_a_damaged_hdf5_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "pets.h5", "w") as file:
        file["x"] = PICTURES
    os.truncate(tmp_path / "pets.h5", 100)
    with pytest.raises(DataError, match=r"pets\.h5 is not an HDF5 file that can be read"):
        list_any([tmp_path / "pets.h5"])


def test_a_zip_that_holds_other_things_beside_arrays_is_a_zip(tmp_path):
    np.save(tmp_path / "x.npy", PICTURES)
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
        archive.writestr("cat/a.jpg", b"")
    assert is_folder(tmp_path / "mixed.zip" / "cat")

"""Folders are read as people lay them out, and refused in one sentence when they cannot be used."""

import os
import re

import pytest

from headstart.errors import DataError
from headstart.images.sources import list_any, list_for_evaluation, list_labelled


def refusal(*args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        list_labelled(*args, **kwargs)
    return str(caught.value)


def test_class_folders_are_classes_at_any_depth_and_with_any_file_name(pictures):
    data = pictures(cat=2, dog=2)
    (data / "cat" / "deep" / "er").mkdir(parents=True)
    (data / "cat" / "deep" / "er" / "NO_SUFFIX").write_bytes((data / "cat" / "000.png").read_bytes())
    (data / "dog" / "000.png").rename(data / "dog" / "A.JPG")
    listing = list_labelled(data)
    assert listing.classes == ("cat", "dog")
    assert [(p.name, p.label, p.side) for p in listing.pictures] == [
        ("cat/000.png", "cat", None),
        ("cat/001.png", "cat", None),
        ("cat/deep/er/NO_SUFFIX", "cat", None),
        ("dog/001.png", "dog", None),
        ("dog/A.JPG", "dog", None),
    ]


def test_hidden_files_are_passed_over(pictures):
    data = pictures(cat=2, dog=2)
    (data / ".git").mkdir()
    (data / "cat" / ".DS_Store").write_bytes(b"x")
    assert len(list_labelled(data).pictures) == 4


@pytest.mark.parametrize("train", ["train", "training", "training_set", "Train"])
@pytest.mark.parametrize("val", ["val", "valid", "validation", "test", "test_set", "VAL"])
def test_train_and_val_folders_are_sides_under_all_their_names(pictures, tmp_path, train, val):
    pictures(at=f"data/{train}", cat=3, dog=3)
    pictures(at=f"data/{val}", cat=2, dog=2)
    listing = list_labelled(tmp_path / "data")
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [6, 4, 0]
    assert listing.on("val")[0].name == f"{val}/cat/000.png"


def test_with_val_and_test_each_is_what_it_says(pictures, tmp_path):
    for side, count in (("train", 3), ("val", 2), ("test", 2)):
        pictures(at=f"data/{side}", cat=count, dog=count)
    listing = list_labelled(tmp_path / "data")
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [6, 4, 4]


def test_a_lone_train_folder_is_split(pictures, tmp_path):
    pictures(at="data/train", cat=2, dog=2)
    listing = list_labelled(tmp_path / "data")
    assert not listing.has_sides
    assert listing.classes == ("cat", "dog")


def test_a_class_may_be_called_train(pictures):
    listing = list_labelled(pictures(train=2, bus=2))
    assert listing.classes == ("bus", "train")
    assert not listing.has_sides


def test_classes_called_train_and_test_are_classes_when_they_hold_pictures(pictures):
    assert list_labelled(pictures(train=2, test=2)).classes == ("test", "train")


def test_another_folder_can_be_given_for_validation(pictures, tmp_path):
    data, val = pictures(at="a", cat=2, dog=2), pictures(at="b", cat=1, dog=1)
    listing = list_labelled(data, val)
    assert [len(listing.on(side)) for side in ("train", "val")] == [4, 2]


def test_no_such_folder_names_the_nearest(pictures, tmp_path):
    pictures(at="flowers", cat=2, dog=2)
    assert refusal(tmp_path / "flower") == (
        f"no such folder: {tmp_path}/flower. Give a folder that holds one folder of pictures for each class. "
        f"In {tmp_path}: did you mean flowers?"
    )


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    assert refusal(tmp_path / "a.zip").startswith(f"{tmp_path}/a.zip is a file, not a folder.")


def test_a_folder_without_class_folders(tmp_path):
    assert refusal(tmp_path) == (
        f"no classes in {tmp_path}: it is empty. Put the pictures of each class into a folder of its own."
    )
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert "it holds 1 file and no folders" in refusal(tmp_path)


def test_one_class(pictures):
    data = pictures(cat=3)
    assert refusal(data) == f"only one class in {data}: 'cat'. A classifier needs at least two class folders."


def test_an_empty_class(pictures):
    data = pictures(cat=3, dog=3, cow=0)
    assert refusal(data) == f"class 'cow' in {data} has no pictures. Add some, or remove the folder."


def test_fewer_than_two_pictures_in_a_class(pictures):
    assert re.match("class 'dog' in .* has one picture only. At least two are needed", refusal(pictures(cat=3, dog=1)))


def test_a_class_only_in_val(pictures, tmp_path):
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/val", cat=2, cow=2)
    message = refusal(tmp_path / "data")
    assert message.startswith(f"class 'cow' is in {tmp_path}/data/val but not in {tmp_path}/data/train, so it cannot")


def test_a_class_without_pictures_in_val_is_fine(pictures, tmp_path):
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/val", cat=2)
    assert list_labelled(tmp_path / "data").classes == ("cat", "dog")


def test_two_folders_for_one_side(pictures, tmp_path):
    for side in ("train", "val", "valid"):
        pictures(at=f"data/{side}", cat=2, dog=2)
    assert "val/ and valid/ in" in refusal(tmp_path / "data")


def test_val_without_train(pictures, tmp_path):
    pictures(at="data/val", cat=2, dog=2)
    assert "holds val but no train folder" in refusal(tmp_path / "data")


def test_a_stray_folder_beside_the_sides_is_named_and_not_taken_for_a_class(pictures, tmp_path):
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/val", cat=3, dog=3)
    (tmp_path / "data" / "__MACOSX").mkdir()
    assert list_labelled(tmp_path / "data").classes == ("cat", "dog")
    (tmp_path / "data" / "notes").mkdir()
    assert refusal(tmp_path / "data") == (
        f"{tmp_path}/data holds train, val with class folders and, beside them, notes without. "
        "Move the latter, or give the folder that holds the classes."
    )


def test_validation_pictures_cannot_be_those_that_are_trained_on(pictures, tmp_path):
    data = pictures(cat=3, dog=3)
    assert "hold the same pictures" in refusal(data, data)
    inside = pictures(at="data/mine", cat=1, dog=1)
    assert "hold the same pictures" in refusal(data, inside)


def test_what_is_skipped_is_listed(pictures, tmp_path):
    data = pictures(cat=2, dog=2)
    (data / "notes.txt").write_text("x")
    os.mkfifo(data / "cat" / "fifo")
    os.symlink(tmp_path / "nothing", data / "cat" / "link.png")
    os.symlink(tmp_path, data / "dog" / "up")
    assert [(os.path.basename(item.path), item.reason) for item in list_labelled(data).skipped] == [
        ("fifo", "not a file"),
        ("link.png", "a link that leads nowhere"),
        ("up", "a link to a folder, which is not followed"),
        ("notes.txt", "it is in no class folder"),
    ]


def test_a_link_to_a_folder_above_does_not_go_round_for_ever(pictures):
    data = pictures(cat=2, dog=2)
    os.symlink(data, data / "cat" / "loop")
    assert len(list_labelled(data).pictures) == 4


def test_for_evaluation_one_class_is_enough_and_val_comes_first(pictures, tmp_path):
    assert len(list_for_evaluation(pictures(at="one", cat=2)).pictures) == 2
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/val", cat=2, dog=2)
    assert len(list_for_evaluation(tmp_path / "data").pictures) == 4


def test_anything_can_be_listed_for_prediction(pictures, tmp_path):
    data = pictures(cat=2, dog=2)
    found = list_any([data / "cat" / "001.png", data])
    assert next(p.name for p in found).endswith("cat/001.png")
    assert len(found) == 5
    with pytest.raises(DataError, match="no such file or folder"):
        list_any([tmp_path / "nothing"])
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DataError, match="no such file or folder"):
        list_any([tmp_path / "fifo"])
    with pytest.raises(DataError, match="an empty path"):
        list_any([""])

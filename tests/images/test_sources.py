"""Folders are read as people lay them out, and refused in one sentence when they cannot be used."""

import os
import re

import pytest

from headstart.errors import DataError
from headstart.images.labels import read_labels
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
    assert {picture.side for picture in listing.pictures} == {None}
    assert listing.classes == ("cat", "dog")


def test_a_class_may_be_called_train(pictures):
    listing = list_labelled(pictures(train=2, bus=2))
    assert listing.classes == ("bus", "train")
    assert {picture.side for picture in listing.pictures} == {None}


def test_classes_called_train_and_test_are_classes_when_they_hold_pictures(pictures):
    assert list_labelled(pictures(train=2, test=2)).classes == ("test", "train")


def test_another_folder_can_be_given_for_validation(pictures, tmp_path):
    data, val = pictures(at="a", cat=2, dog=2), pictures(at="b", cat=1, dog=1)
    listing = list_labelled(data, val)
    assert [len(listing.on(side)) for side in ("train", "val")] == [4, 2]


def test_another_folder_can_be_given_for_testing_and_the_rest_is_split(pictures, tmp_path):
    data, test = pictures(at="a", cat=2, dog=2), pictures(at="b", cat=1, dog=1)
    listing = list_labelled(data, test=test)
    assert [(p.name, p.side) for p in listing.pictures][3:] == [("dog/001.png", None), *_on_test("../b")]
    listing = list_labelled(data, pictures(at="c", cat=1), test)
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [4, 1, 2]


def _on_test(folder: str) -> list[tuple[str, str]]:
    return [(f"{folder}/cat/000.png", "test"), (f"{folder}/dog/000.png", "test")]


def test_a_test_folder_in_the_data_is_for_validation_unless_there_is_one(pictures, tmp_path):
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/test", cat=2, dog=2)
    elsewhere = pictures(at="other", cat=1, dog=1)
    for given, expected in (({}, [6, 4, 0]), ({"val": elsewhere}, [6, 2, 4]), ({"test": elsewhere}, [6, 4, 2])):
        listing = list_labelled(tmp_path / "data", **given)
        assert [len(listing.on(side)) for side in ("train", "val", "test")] == expected


def test_a_lone_train_folder_with_a_test_folder_from_elsewhere_is_split(pictures, tmp_path):
    pictures(at="data/train", cat=2, dog=2)
    listing = list_labelled(tmp_path / "data", test=pictures(at="b", cat=1, dog=1))
    assert [picture.side for picture in listing.pictures] == [None] * 4 + ["test"] * 2


def test_no_side_may_lie_inside_another(pictures):
    data, val = pictures(at="a", cat=3, dog=3), pictures(at="b", cat=3, dog=3)
    assert refusal(data, val, val) == (
        f"{val} and {val} hold the same pictures. Give each side pictures of its own: nothing can be checked on what "
        "was learned from."
    )
    assert "hold the same pictures" in refusal(data, test=pictures(at="a/cat", kitten=1))


def test_a_side_without_pictures_is_refused(pictures, tmp_path):
    data, empty = pictures(at="a", cat=3, dog=3), pictures(at="b", cat=0, dog=0)
    for given in ({"val": empty}, {"test": empty}):
        assert refusal(data, **given) == f"no pictures in the class folders of {empty}."


def test_a_class_only_in_test(pictures):
    data, test = pictures(at="a", cat=3, dog=3), pictures(at="b", cow=2)
    assert refusal(data, test=test).startswith(f"class 'cow' is in {test} but not in {data}, so it cannot be learned.")


def test_a_list_says_which_classes_there_are_and_in_which_order(pictures):
    data = pictures(cat=2, dog=2)
    listing = list_labelled(data, classes=["dog", "cow", "cat"])
    assert listing.classes == ("dog", "cow", "cat")
    assert listing.pictured == ("dog", "cat")
    assert len(listing.pictures) == 4


def test_a_folder_that_is_not_in_the_list_is_refused_with_the_nearest(pictures):
    data = pictures(cats=2, dog=2)
    assert refusal(data, classes=["cat", "dog"]) == (
        f"{data} holds a folder 'cats', which is not in the list of classes; did you mean cat? "
        "Rename or remove the folder, or add a line to the list."
    )
    val = pictures(at="val", kow=2)
    data = pictures(at="train", cat=2, dog=2)
    assert f"{val} holds a folder 'kow'" in refusal(data, val, classes=["cat", "dog", "cow"])


def test_a_listed_class_with_pictures_must_have_some_to_learn_from(pictures, tmp_path):
    data, val = pictures(at="a", cat=2, dog=2), pictures(at="b", cow=2)
    assert refusal(data, val, classes=["cat", "dog", "cow"]) == (
        f"class 'cow' in {data} has no pictures. Add some, or remove the folder."
    )


def test_at_least_two_listed_classes_have_pictures(pictures):
    data = pictures(cat=3, dog=0)
    assert refusal(data, classes=["cat", "dog", "cow"]) == (
        f"only 1 of the listed classes have pictures in {data}. Add some of another."
    )
    only = pictures(at="only", cat=3)
    assert refusal(only, classes=["cat"]).startswith(f"only one class in {only}: 'cat'.")


def test_labels_are_read_one_per_line(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffred rose\r\n\n  tulip \n#1\nÄhre".encode())
    assert read_labels(file) == ("red rose", "tulip", "#1", "Ähre")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n\na\n", "class 'a' is on lines 1 and 4 of {}. Remove one of them."),
        (b" \n\n", "there are no labels in {}. It should hold one class name per line, in UTF-8."),
        (b"\xff\xfea\n", "the labels in {} are not text in UTF-8. It should hold one class name per line, in UTF-8."),
        (
            None,
            "the labels in {} cannot be read: No such file or directory. "
            "It should hold one class name per line, in UTF-8.",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, content, message):
    file = tmp_path / "labels.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_labels(file)
    assert str(caught.value) == message.format(file)


def test_no_such_folder_names_the_nearest(pictures, tmp_path):
    pictures(at="flowers", cat=2, dog=2)
    assert refusal(tmp_path / "flower") == (
        f"no such folder: {tmp_path}/flower. Give a folder, or a zip, that holds one folder of pictures for each "
        f"class; or a file of arrays. In {tmp_path}: did you mean flowers?"
    )


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    assert refusal(tmp_path / "a.zip").startswith(f"{tmp_path}/a.zip is a file, neither a folder nor an archive.")


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

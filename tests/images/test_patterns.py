"""Labels in file names: Kaggle's layout, and others."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.images.sources import list_for_evaluation, list_labelled
from headstart.specs import parse_label_pattern
from tests.images.test_archives import make_zip


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        ("{label}.*", "cat.0.jpg", "cat"),
        ("{label}.*", "cat.jpg", "cat"),
        ("{label}_*.jpg", "big_dog_1.jpg", "big"),
        ("*_{label}.jpg", "1_of_dog.jpg", "dog"),
        ("*/{label}/*", "a/b/cat/1.jpg", "cat"),
        ("img[1] ({label})*", "img[1] (cat).png", "cat"),
        ("{label}.*", "deep/\u732b \n.1.jpg", "\u732b"),
        ("{label}.*", " .1.jpg", None),
        ("{label}_*", "cat.1.jpg", None),
    ],
)
def test_the_label_is_what_stands_where_the_pattern_says(pattern, name, label):
    assert parse_label_pattern(pattern).find(name) == label


@pytest.mark.parametrize("pattern", ["", "*.jpg", "{label}{label}", "{Label}.*"])
def test_a_pattern_without_its_label_is_refused(pattern, tmp_path):
    message = f"label_pattern {pattern!r} should have {{label}} in it once, as in {{label}}.*"
    with pytest.raises(ValueError, match="once") as caught:
        parse_label_pattern(pattern)
    assert str(caught.value) == message
    with pytest.raises(DataError) as refused:
        list_for_evaluation(tmp_path, pattern)
    assert str(refused.value) == message


def test_pictures_of_one_folder_get_their_labels_from_their_names(tmp_path):
    data = make(tmp_path / "train", "cat.0.jpg", "cat.1.jpg", "deep/dog.0.jpg", "dog.1.jpg", ".hidden.jpg", "README")
    listing = list_labelled(data, pattern="{label}.*")
    assert [(p.name, p.label, p.side) for p in listing.pictures] == [
        ("cat.0.jpg", "cat", None),
        ("cat.1.jpg", "cat", None),
        ("deep/dog.0.jpg", "dog", None),
        ("dog.1.jpg", "dog", None),
    ]
    assert [(item.path, item.reason) for item in listing.skipped] == [
        (f"{data}/README", "its name does not match {label}.*")
    ]
    archive = make_zip(tmp_path / "train.zip", {p.name: Path(p.path).read_bytes() for p in listing.pictures})
    zipped = list_labelled(archive, pattern="{label}.*")
    assert [(p.name, p.label) for p in zipped.pictures] == [(p.name, p.label) for p in listing.pictures]


def test_other_folders_hold_other_sides(tmp_path):
    data = make(tmp_path / "train", *(f"{name}.{n}.jpg" for name in ("cat", "dog") for n in range(3)))
    val = make(tmp_path / "val", "cat.9.jpg", "dog.9.jpg")
    listing = list_labelled(data, val, pattern="{label}.*")
    assert [len(listing.on(side)) for side in ("train", "val")] == [6, 2]
    assert len(list_for_evaluation(val, "{label}.*").pictures) == 2


def test_a_pattern_that_matches_nothing_and_a_table_with_a_pattern_are_refused(tmp_path):
    data = make(tmp_path / "train", "1.jpg", "2.jpg")
    with pytest.raises(DataError, match="^no pictures to learn from in .*train"):
        list_labelled(data, pattern="{label}_*")
    (tmp_path / "t.csv").write_text("path,label")
    with pytest.raises(DataError) as caught:
        list_labelled(tmp_path / "t.csv", pattern="{label}.*")
    assert str(caught.value) == f"{tmp_path}/t.csv says the labels itself; leave the label pattern out."

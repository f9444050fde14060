"""A sample submission is filled in as its own columns and values say."""

import csv
from pathlib import Path

import pytest

from headstart.answers import Prediction
from headstart.errors import DataError
from headstart.submission import Sample

CLASSES = ("cat", "dog")


def said(path: str, dog: float) -> Prediction:
    label = "dog" if dog > 0.5 else "cat"
    return Prediction(path, label, max(dog, 1 - dog), {"dog": dog, "cat": 1 - dog})


PREDICTIONS = [said("test/1.jpg", 0.75), said("test/2.jpg", 0.25), said("pets.zip/10.jpg", 0.5625)]


def sample(tmp_path: Path, *rows: str) -> Path:
    (tmp_path / "sample.csv").write_text("".join(f"{row}\n" for row in rows))
    return tmp_path / "sample.csv"


@pytest.mark.parametrize(
    ("rows", "filled"),
    [
        (["id,label", "1,0", "2,0"], [["1", "1"], ["2", "0"]]),
        (["id,label", "2,0.5", "1,0.5"], [["2", "0.25"], ["1", "0.75"]]),
        (["image,breed", "1.jpg,cat", "10.jpg,cat"], [["1.jpg", "dog"], ["10.jpg", "dog"]]),
        (["id,dog,cat", "2,0.5,0.5"], [["2", "0.25", "0.75"]]),
        (["path,cat,dog", "test/1.jpg,0,0"], [["test/1.jpg", "0.25", "0.75"]]),
    ],
    ids=["numbers", "probability", "names", "columns", "paths"],
)
def test_the_sample_says_what_goes_where(tmp_path, rows, filled):
    found = list(Sample(sample(tmp_path, *rows), CLASSES).filled(PREDICTIONS))
    assert found == [rows[0].split(","), *filled]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["id"], "is no sample submission: it needs a header, a column of ids and one to fill in."),
        (
            ["id,label", "1,cow"],
            "holds 'cow' under 'label', which is neither a class (cat, dog) nor the number of one, nor, with two "
            "classes, a probability.",
        ),
    ],
)
def test_what_is_no_sample_is_refused(tmp_path, rows, message):
    path = sample(tmp_path, *rows)
    with pytest.raises(DataError) as caught:
        Sample(path, CLASSES)
    assert str(caught.value) == f"{path} {message}"


def test_columns_of_other_classes_are_refused(tmp_path):
    path = sample(tmp_path, "id,cat,dogs", "1,0,0")
    with pytest.raises(DataError, match="only; .* needs a column for every class"):
        Sample(path, CLASSES)


def test_an_id_without_a_picture_and_one_with_two_are_refused(tmp_path):
    path = sample(tmp_path, "id,label", "1,0", "7,0", "8,0")
    with pytest.raises(DataError) as caught:
        list(Sample(path, CLASSES).filled(PREDICTIONS))
    assert str(caught.value) == (
        f"2 of the 3 ids in {path} have no picture that can be decoded, the first is '7'. An id is the name of a file, "
        "with or without its suffix."
    )
    with pytest.raises(DataError, match=r"test/1\.jpg and other/1\.jpg are both '1' in"):
        list(Sample(path, CLASSES).filled([*PREDICTIONS, said("other/1.jpg", 0.5)]))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "sample.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        Sample(tmp_path / "sample.csv", CLASSES)
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        Sample(tmp_path / "nothing.csv", CLASSES)


def test_ids_are_written_as_they_were_given(tmp_path):
    path = sample(tmp_path, "id,label", '"=1",0')
    (_, row) = Sample(path, CLASSES).filled([said("x/=1.jpg", 0.9)])
    assert row == ["=1", "1"]
    with open(path, newline="") as file:
        assert [line[0] for line in csv.reader(file)][1] == row[0]

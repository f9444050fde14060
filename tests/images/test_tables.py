"""A table names pictures as folders do, and what is wrong with it is said by line."""

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.images.sources import list_for_evaluation, list_labelled
from headstart.images.tables import COLUMNS, is_table
from tests.images.test_archives import zipped


def write(path: Path, *rows: tuple, delimiter: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def table_of(data: Path, path: Path) -> Path:
    """A table of the pictures that a folder holds."""
    listing = list_labelled(data)
    return write(path, ("path", "label"), *((Path(p.path).relative_to(path.parent), p.label) for p in listing.pictures))


def refusal(*args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        list_labelled(*args, **kwargs)
    return str(caught.value)


def test_a_table_names_the_same_pictures_as_the_folder(pictures, tmp_path):
    data = pictures(cat=3, dog=2)
    listing, expected = list_labelled(table_of(data, tmp_path / "t.csv")), list_labelled(data)
    assert [(p.path, p.label, p.side) for p in listing.pictures] == [
        (p.path, p.label, p.side) for p in expected.pictures
    ]
    assert listing.classes == expected.classes
    assert listing.pictures[0].name == "data/cat/000.png"


def test_paths_may_lead_into_a_zip(pictures, tmp_path):
    zipped(pictures(cat=2, dog=2), tmp_path / "pets.zip")
    names = [f"pets.zip/{label}/00{number}.png" for label in ("cat", "dog") for number in (0, 1)]
    listing = list_labelled(write(tmp_path / "t.csv", ("path", "label"), *((n, n.split("/")[1]) for n in names)))
    assert [p.path for p in listing.pictures] == [f"{tmp_path}/{name}" for name in names]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".csv", "\t"), (".TSV", "\t")])
@pytest.mark.parametrize("names", list(zip(*(COLUMNS[name][:3] for name in COLUMNS), strict=True)))
def test_columns_are_found_by_any_of_their_names(tmp_path, suffix, delimiter, names):
    header = ("number", *(name.upper() for name in names))
    rows = [(n, f"{n}.png", "ab"[n % 2], ("Train", "VALID")[n % 3 == 0]) for n in range(8)]
    path = write(tmp_path / f"t{suffix}", header, *rows, delimiter=delimiter)
    assert [(p.name, p.label, p.side) for p in list_labelled(path).pictures] == [
        (f"{n}.png", "ab"[n % 2], ("train", "val")[n % 3 == 0]) for n in range(8)
    ]


def test_with_test_alone_beside_train_it_is_for_validation(tmp_path):
    rows = [(f"{label}{n}.png", label, side) for label in "ab" for n, side in enumerate(("train", "train", "test"))]
    listing = list_labelled(write(tmp_path / "t.csv", ("file", "class", "split"), *rows))
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [4, 2, 0]


def test_other_tables_can_be_given_for_validation_and_testing(tmp_path):
    def table(name: str, count: int) -> Path:
        rows = [(f"{name}{label}{n}.png", label) for label in "ab" for n in range(count)]
        return write(tmp_path / f"{name}.csv", ("path", "label"), *rows)

    listing = list_labelled(table("x", 3), table("y", 2), table("z", 1))
    assert [len(listing.on(side)) for side in ("train", "val", "test")] == [6, 4, 2]


def test_a_list_of_classes_fixes_their_order_and_refuses_others(tmp_path):
    table = write(tmp_path / "t.csv", ("path", "label"), *((f"{n}.png", "ab"[n % 2]) for n in range(4)))
    assert list_labelled(table, classes=["b", "none", "a"]).classes == ("b", "none", "a")
    assert refusal(table, classes=["b", "c"]) == (
        f"0.png in {table} is of class 'a', which is not among the list of classes; valid are: b, c."
    )


def test_rows_without_label_or_path_and_second_rows_are_left_out_by_line(tmp_path):
    rows = [
        ("a0.png", "a"),
        ("a1.png", "a"),
        ("b0.png", "b"),
        ("b1.png", "b"),
        ("x.png", " "),
        ("", "a"),
        ("./a0.png", "b"),
    ]
    table = write(tmp_path / "t.csv", ("path", "label"), *rows)
    listing = list_labelled(table)
    assert len(listing.pictures) == 4
    assert [(item.path, item.reason) for item in listing.skipped] == [
        (f"{tmp_path}/x.png", f"it has no label on line 6 of {table}"),
        (str(table), "line 7 has no path"),
        (f"{tmp_path}/a0.png", f"it is on line 8 of {table} again; line 2 counts"),
    ]


def test_for_evaluation_validation_comes_first_and_one_class_is_enough(tmp_path):
    rows = [("a.png", "a", "train"), ("b.png", "b", "val"), ("c.png", "b", "test")]
    listing = list_for_evaluation(write(tmp_path / "t.csv", ("path", "label", "side"), *rows))
    assert [(p.name, p.side) for p in listing.pictures] == [("b.png", None)]
    assert listing.classes == ("b",)
    both = list_for_evaluation(write(tmp_path / "u.csv", ("path", "label"), *(row[:2] for row in rows)))
    assert [p.name for p in both.pictures] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            ("id", "breed"),
            "has no column for the path; its columns are 'id', 'breed'. Call one of them path or file or filename.",
        ),
        (
            ("path", "breed"),
            "has no column for the label; its columns are 'path', 'breed'. "
            "Call one of them label or class or category.",
        ),
        (("path", "file", "label"), "has 2 columns for the path: 'path', 'file'. Keep one."),
        ((), "has no column for the path; its columns are none. Call one of them path or file or filename."),
    ],
)
def test_columns_that_are_missing_or_there_twice_are_named(tmp_path, header, message):
    table = write(tmp_path / "t.csv", header, *[("x",) * len(header)] * 2)
    assert refusal(table) == f"{table} {message}"


def test_other_mistakes_are_said_in_one_line(tmp_path):
    assert refusal(tmp_path / "none.csv") == (
        f"no such table: {tmp_path}/none.csv. Give a CSV file with a column of paths and one of labels."
    )
    (tmp_path / "t.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    assert refusal(tmp_path / "t.csv") == f"{tmp_path}/t.csv is not text in UTF-8. Save it as CSV in UTF-8."
    table = write(tmp_path / "t.csv", ("path", "label", "split"), ("a.png", "a", "holdout"))
    assert refusal(table) == f"{table}, line 2: 'holdout' is no side of the split. Use train, val or test."
    table = write(tmp_path / "t.csv", ("path", "label"), ("a.png", "a"), ("b.png", "a"))
    assert refusal(table) == f"only one class to learn from in {table}: 'a'. A classifier needs at least two."
    assert refusal(write(tmp_path / "t.csv", ("path", "label"))) == f"no pictures to learn from in {table}."
    table = write(tmp_path / "t.csv", ("path", "label"), ("a.png", "a"), ("b.png", "b"), ("c.png", "b"))
    assert "has one picture only" in refusal(table)
    table = write(tmp_path / "t.csv", ("path", "label"), ("a" * 200_000, "a"))
    assert refusal(table) == f"{table} is no table that can be read: field larger than field limit (131072)."


def test_a_folder_that_is_called_like_a_table_is_a_folder(pictures):
    data = pictures(at="pets.csv", cat=2, dog=2)
    assert not is_table(data)
    assert list_labelled(data).classes == ("cat", "dog")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: b"path,label,split\n" + tail))
)
def test_a_table_of_any_bytes_is_listed_or_refused_in_one_line(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    try:
        list_labelled(tmp_path / "t.csv")
        refused = ""
    except DataError as error:
        refused = str(error)
    assert "\n" not in refused


def test_a_column_of_groups_is_read(tmp_path):
    rows = [("a.png", "a", "p1"), ("b.png", "b", " p2 "), ("c.png", "a", ""), ("d.png", "b", "p2")]
    listing = list_labelled(write(tmp_path / "t.csv", ("path", "label", "Patient"), *rows))
    assert [picture.group for picture in listing.pictures] == ["p1", "p2", None, "p2"]

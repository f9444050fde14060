"""Every picture that can be used is on one side: its folder's, or the one its content draws."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.images.dataset import Dataset, check_shares, make_dataset
from headstart.images.digest import picture_digest
from headstart.images.groups import group_by_name
from headstart.images.pictures import Listing
from headstart.images.sources import list_labelled
from headstart.images.split import Shares
from headstart.specs import Fold


def digests_of(listing: Listing) -> dict[str, str]:
    return {picture.path: picture_digest(Path(picture.path).read_bytes()) for picture in listing.pictures}


def made(listing: Listing, val: float = 0.25, test: float | None = None, seed: int = 0) -> Dataset:
    return make_dataset(listing, digests_of(listing), Shares(val, test, seed))


def sizes(data: Dataset) -> list[int]:
    return [len(data.side(side).paths) for side in ("train", "val", "test")]


def test_without_folders_for_sides_content_draws_them(pictures):
    listing = list_labelled(pictures(cat=40, dog=40))
    without, with_test = made(listing), made(listing, test=0.25)
    assert sizes(without)[2] == 0
    assert all(10 < size < 50 for size in sizes(with_test))
    moved = [
        (old.side, new.side)
        for old, new in zip(without.examples, with_test.examples, strict=True)
        if old.side != new.side
    ]
    assert set(moved) == {("train", "test")}
    assert with_test.evaluated_sides == ("val", "test")


def test_a_validation_folder_stays_and_the_test_part_comes_from_the_training_pictures(pictures, tmp_path):
    pictures(at="data/train", cat=20, dog=20)
    pictures(at="data/val", first=500, cat=5, dog=5)
    data = made(list_labelled(tmp_path / "data"), test=0.25)
    assert sizes(data)[1] == 10
    assert sizes(data)[0] + sizes(data)[2] == 40
    assert 4 <= sizes(data)[2] <= 16
    assert all("/val/" in path for path in data.side("val").paths)


def test_a_test_folder_stays_and_a_share_is_not_drawn_beside_it(pictures, tmp_path):
    listing = list_labelled(pictures(at="a", cat=20, dog=20), test=pictures(at="b", first=500, cat=3, dog=3))
    assert made(listing, test=0.25).examples == made(listing).examples
    assert sizes(made(listing))[2] == 6
    assert 4 <= sizes(made(listing))[1] <= 16


def test_folders_for_all_sides_leave_nothing_to_draw(pictures, tmp_path):
    for first, side in enumerate(("train", "val", "test")):
        pictures(at=f"data/{side}", first=500 * first, cat=3, dog=3)
    assert sizes(made(list_labelled(tmp_path / "data"), test=0.3)) == [6, 6, 6]


def test_a_listed_class_without_pictures_is_a_class(pictures):
    data = made(list_labelled(pictures(cat=9, dog=9), classes=["dog", "cow", "cat"]))
    assert data.classes == ("dog", "cow", "cat")
    assert set(data.side("train").labels) == {0, 2}


def test_a_class_of_which_nothing_can_be_decoded_is_refused_listed_or_not(pictures):
    folder = pictures(cat=9, dog=9, cow=2)
    for classes in (None, ["dog", "cow", "cat", "hen"]):
        listing = list_labelled(folder, classes=classes)
        digests = {path: digest for path, digest in digests_of(listing).items() if "/cow/" not in path}
        with pytest.raises(DataError) as caught:
            make_dataset(listing, digests, Shares(0.25))
        assert str(caught.value) == (
            f"class 'cow' in {folder}, without the files that cannot be decoded, has no pictures. "
            "Add some, or remove the folder."
        )


def test_a_test_part_that_would_be_empty_is_refused(pictures):
    folder = pictures(cat=2, dog=2)
    with pytest.raises(DataError) as caught:
        made(list_labelled(folder), test=0.2)
    assert str(caught.value) == (
        f"no picture is left for testing in {folder}: the classes have too few different pictures, or the test folders "
        "hold none that can be decoded. Add some, or go without a test part."
    )


def test_groups_in_names_keep_pictures_together(pictures, caplog):
    data = pictures(cat=12, dog=12)
    for file in data.rglob("*.png"):
        file.rename(file.with_name(f"p{int(file.stem) // 3}_{file.name}"))
    listing = group_by_name(list_labelled(data), "{group}_*")
    made_of = made(listing)
    sides = {(e.picture.group, e.side) for e in made_of.examples}
    assert len(sides) == len({group for group, _ in sides}) == 4
    assert {side for _, side in sides} == {"train", "val"}
    made_of.warn("data")
    assert not caplog.records


def test_names_without_a_group_are_counted_and_none_at_all_is_refused(pictures, caplog):
    data = pictures(cat=3, dog=3)
    (data / "cat" / "000.png").rename(data / "cat" / "p1_000.png")
    assert [p.group for p in group_by_name(list_labelled(data), "{group}_*").pictures].count(None) == 5
    assert caplog.messages == [
        "5 of 6 names do not match group_by {group}_*, as 'cat/001.png'; each of these pictures is a group of its own."
    ]
    with pytest.raises(DataError) as caught:
        group_by_name(list_labelled(data), "{group}-*")
    assert str(caught.value) == (
        f"no name of a picture in {data} matches group_by '{{group}}-*'; one is 'cat/001.png'."
    )


def test_groups_that_folders_put_on_both_sides_are_reported(pictures, tmp_path, caplog):
    pictures(at="data/train", cat=3, dog=3)
    pictures(at="data/val", first=500, cat=2, dog=2)
    for file in (tmp_path / "data").rglob("*.png"):
        file.rename(file.with_name(f"{file.parent.name}_{file.name}"))
    made(group_by_name(list_labelled(tmp_path / "data"), "{group}_*")).warn("my data")
    assert caplog.messages == [
        "2 groups are both trained on and evaluated on, as 'cat': the figures flatter the model. "
        "`headstart audit 'my data'` shows them."
    ]


def test_a_class_with_ten_times_fewer_pictures_than_the_largest_is_warned_of(pictures, tmp_path, caplog):
    pictures(at="data/train", cat=20, dog=3, hen=2)
    pictures(at="data/val", first=500, cat=2, dog=2, hen=2)
    data = made(list_labelled(tmp_path / "data"))
    assert data.learned == {"cat": 20, "dog": 3, "hen": 2}
    data.warn("data")
    assert caplog.messages == [
        "1 classes have 10 times fewer pictures than the largest or less, 'hen' has 2: accuracy hardly shows how they "
        "fare. `headstart audit data` counts them."
    ]


def test_folds_and_a_folder_for_validation_contradict_each_other(pictures):
    pictures(at="data/train", cat=9, dog=9)
    folder = pictures(at="data/val", cat=3, dog=3, first=50).parent
    listing = list_labelled(folder)
    with pytest.raises(DataError) as caught:
        check_shares(listing, Shares(0.25, fold=Fold(1, 5)))
    assert str(caught.value) == (
        f"the validation pictures of {folder} are given, so there are no folds to take them from. Leave the fold out, "
        "or give one folder of all pictures."
    )
    with pytest.raises(DataError, match="are given; leave the split out"):
        check_shares(listing, Shares(0.25, known={"digest": "val"}))


def test_the_digest_of_a_data_set_is_that_of_contents_labels_and_sides(pictures, tmp_path):
    data = made(list_labelled(pictures(cat=9, dog=9)))
    (tmp_path / "data/cat/000.png").rename(tmp_path / "data/cat/another name.png")
    assert made(list_labelled(tmp_path / "data")).digest == data.digest
    assert made(list_labelled(tmp_path / "data"), seed=1).digest != data.digest
    (tmp_path / "data/cat/001.png").rename(tmp_path / "data/dog/from cat.png")
    assert made(list_labelled(tmp_path / "data")).digest != data.digest


def test_what_was_split_before_stays_where_it_was_whatever_it_is_called(pictures, tmp_path, caplog):
    listing = list_labelled(pictures(cat=30, dog=30))
    old = made(listing, test=0.2)
    known = {example.digest: example.side for example in old.examples}
    (tmp_path / "data/cat/000.png").rename(tmp_path / "data/cat/zzz.png")
    pictures(cat=10, dog=10, first=200)
    listing = list_labelled(tmp_path / "data")
    new = make_dataset(listing, digests_of(listing), Shares(0.5, seed=9, known=known))
    assert all(example.side == known[example.digest] for example in new.examples if example.digest in known)
    assert {example.side for example in new.examples if example.digest not in known} == {"train", "val"}
    assert "20 of 80 pictures are not in the split that was given; they are split anew." in caplog.text

"""Each check finds what was planted, and nothing else."""

import zipfile

import cv2
import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError
from headstart.images.dataset import make_dataset
from headstart.images.digest import picture_digest
from headstart.images.places import read_file
from headstart.images.sources import list_labelled
from headstart.images.split import Shares
from tests.auditing.conftest import copy, patchwork
from tests.conftest import write_picture


def names(finding) -> list[str]:
    return [picture.name for picture in finding.pictures]


def found(audit) -> dict[str, int]:
    return {check.name: check.found for check in audit.checks if check.found}


def test_nothing_is_found_where_nothing_is_wrong(sides, plain_audit):
    audit = plain_audit(sides)
    assert found(audit) == {}
    assert audit.found == 0
    assert audit.refused == ""
    assert audit.files == 36
    assert audit.counts == {"cat": {"train": 12, "val": 6}, "dog": {"train": 12, "val": 6}}
    assert [check.name for check in audit.checks] == [
        *("exact", "near", "unreadable", "formats", "skipped", "imbalance", "sizes"),
    ]


def test_exact_duplicates_come_across_sides_first_then_with_different_labels(sides, plain_audit):
    train, val = sides / "train", sides / "val"
    copy(train / "cat" / "03.png", train / "cat" / "again.png")
    copy(train / "cat" / "04.png", train / "dog" / "torn.png")
    copy(train / "dog" / "05.png", train / "dog" / "other.png", val / "dog" / "leak.png")
    copy(train / "dog" / "06.png", val / "cat" / "both.png")
    audit = plain_audit(sides)
    check = audit.check("exact")
    assert [(finding.why, names(finding)) for finding in check.findings] == [
        ("across sides and different labels", ["train/dog/06.png", "val/cat/both.png"]),
        ("across sides", ["train/dog/05.png", "val/dog/leak.png", "train/dog/other.png"]),
        ("different labels", ["train/cat/04.png", "train/dog/torn.png"]),
        ("same side and label", ["train/cat/03.png", "train/cat/again.png"]),
    ]
    assert check.summary == "4 groups: 2 across sides, 2 with different labels."
    assert [finding.figures for finding in check.findings][1] == {"group": 2, "rank": "across sides", "size": 3}
    assert found(audit) == {"exact": 4}


def test_near_duplicates_are_told_from_exact_ones_and_mirrored_from_others(sides, plain_audit):
    original = cv2.imread(str(sides / "train" / "cat" / "00.png"))
    cv2.imwrite(str(sides / "val" / "cat" / "encoded.jpg"), original)
    mirrored = cv2.imread(str(sides / "train" / "dog" / "01.png"))[:, ::-1]
    cv2.imwrite(str(sides / "train" / "dog" / "mirrored.png"), mirrored)
    copy(sides / "train" / "dog" / "02.png", sides / "train" / "dog" / "exact.png")
    audit = plain_audit(sides)
    assert [(finding.kind, finding.why, names(finding)) for finding in audit.check("near").findings] == [
        ("near", "across sides", ["train/cat/00.png", "val/cat/encoded.jpg"]),
        ("mirrored", "same side and label", ["train/dog/01.png", "train/dog/mirrored.png"]),
    ]
    assert found(audit) == {"near": 2, "exact": 1}


def test_broken_files_are_named_with_what_is_wrong(sides, plain_audit):
    jpeg = write_picture(sides / "train" / "cat" / "whole.jpg", patchwork(77)).read_bytes()
    (sides / "train" / "cat" / "half.jpg").write_bytes(jpeg[:-40])
    (sides / "train" / "cat" / "empty.jpg").touch()
    (sides / "val" / "dog" / "text.png").write_text("no picture")
    (sides / "val" / "notes.txt").write_text("not in a class")
    audit = plain_audit(sides)
    assert sorted((finding.kind, names(finding)[0]) for finding in audit.check("unreadable").findings) == [
        ("damaged", "train/cat/half.jpg"),
        ("empty", "train/cat/empty.jpg"),
        ("no picture", "val/dog/text.png"),
    ]
    assert audit.check("unreadable").summary.startswith("3 files cannot be decoded: 1 ")
    assert [finding.why for finding in audit.check("skipped").findings] == ["it is in no class folder"]
    assert found(audit) == {"unreadable": 3, "skipped": 1}


def test_a_name_that_ends_as_another_format_is_named_and_one_that_says_nothing_is_not(sides, plain_audit):
    picture = write_picture(sides / "train" / "cat" / "whole.jpeg", patchwork(77))
    picture.rename(picture.with_suffix(".png"))
    odd = write_picture(sides / "train" / "cat" / "second.jpg", patchwork(78))
    odd.rename(odd.with_suffix(".dat"))
    audit = plain_audit(sides)
    (finding,) = audit.check("formats").findings
    assert (names(finding), finding.why) == (["train/cat/whole.png"], "called .png, but it is JPEG")
    assert found(audit) == {"formats": 1}


def test_pictures_of_odd_size_or_shape_are_named_the_oddest_first(sides, plain_audit):
    write_picture(sides / "train" / "cat" / "banner.png", patchwork(77, (30, 300)))
    write_picture(sides / "train" / "cat" / "huge.png", patchwork(78, (480, 480)))
    audit = plain_audit(sides)
    assert [(names(f)[0], f.kind, f.why) for f in audit.check("sizes").findings] == [
        ("train/cat/banner.png", "aspect", "300x30: 10.0 times wider than the usual picture"),
        ("train/cat/huge.png", "size", "480x480: 8.0 times larger than the usual picture"),
    ]
    assert audit.check("sizes").summary == "The usual picture is 60x60; 2 are far from it."


def test_a_class_ten_times_smaller_than_the_largest_is_named(sides, plain_audit):
    for number in range(2):
        write_picture(sides / "train" / "hen" / f"{number}.png", patchwork(500 + number))
    for number in range(12, 25):
        write_picture(sides / "train" / "dog" / f"{number}.png", patchwork(600 + number))
    audit = plain_audit(sides)
    (finding,) = audit.check("imbalance").findings
    assert finding.why == "'hen' has 2 pictures to learn from"
    assert audit.check("imbalance").summary == "The largest class has 12.5 times the pictures of the smallest."


def test_groups_on_both_sides_are_named_with_one_picture_of_each(sides, plain_audit):
    for path in list(sides.rglob("*.png")):
        group = (
            "shared" if path.stem == "00" and path.parent.name == "cat" else f"{path.parent.parent.name}-{path.stem}"
        )
        path.rename(path.with_name(f"{group}_{path.name}"))
    audit = plain_audit(sides, group_by="{group}_*")
    (finding,) = audit.check("groups").findings
    assert names(finding) == ["train/cat/shared_00.png", "val/cat/shared_00.png"]
    assert finding.why == "2 pictures of 'shared' are on both sides"
    assert found(audit) == {"groups": 1}


def test_an_audit_agrees_with_what_a_training_warns_of(sides, plain_audit, caplog):
    copy(sides / "train" / "cat" / "01.png", sides / "val" / "cat" / "leak.png", sides / "train" / "dog" / "torn.png")
    audit = plain_audit(sides)
    (finding,) = audit.check("exact").findings
    assert finding.why == "across sides and different labels"
    listing = list_labelled(sides)
    digests = {p.path: picture_digest(read_file(p.path)) for p in listing.pictures}
    make_dataset(listing, digests, Shares(0.2)).warn("my data")
    assert caplog.messages == [
        "1 pictures are both trained on and evaluated on: the figures flatter the model. "
        "`headstart audit 'my data'` shows them.",
        "1 pictures are in more than one class: at least one of their labels is wrong. "
        "`headstart audit 'my data'` shows them.",
    ]


def test_data_that_could_not_be_trained_on_is_audited_and_the_reason_given(sides, plain_audit):
    for path in (sides / "val").rglob("*.png"):
        path.write_text("broken")
    audit = plain_audit(sides)
    assert audit.refused.startswith("no picture is left for validation in ")
    assert audit.check("unreadable").found == 12


def test_new_pictures_are_compared_with_those_to_learn_from(sides, tmp_path, plain_audit):
    copy(sides / "train" / "cat" / "01.png", tmp_path / "new" / "known.png")
    copy(sides / "train" / "cat" / "02.png", tmp_path / "new" / "deeper" / "known.png")
    write_picture(tmp_path / "new" / "once.png", patchwork(900))
    copy(tmp_path / "new" / "once.png", tmp_path / "new" / "twice.png")
    (tmp_path / "new" / "bad.png").write_text("broken")
    copy(sides / "val" / "dog" / "01.png", tmp_path / "new" / "of val.png")
    audit = plain_audit(sides, against=tmp_path / "new")
    assert [(finding.why, finding.pictures[1].side) for finding in audit.check("exact").findings] == [
        ("across sides", "new"),
        ("across sides", "new"),
        ("on new and val", "new"),
    ]
    assert audit.check("unreadable").findings[0].pictures[0].side == "new"
    assert audit.files == 42


@pytest.mark.parametrize("form", ["zip", "csv"])
def test_a_zip_and_a_table_are_as_good_as_folders(sides, tmp_path, plain_audit, form):
    copy(sides / "train" / "cat" / "01.png", sides / "val" / "cat" / "leak.png")
    if form == "zip":
        data = tmp_path / "data.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for path in sorted(sides.rglob("*.png")):
                archive.write(path, path.relative_to(sides))
    else:
        data = tmp_path / "data.csv"
        rows = [f"{p},{p.parent.name},{p.parent.parent.name}" for p in sorted(sides.rglob("*.png"))]
        data.write_text("\n".join(["path,label,split", *rows]))
    audit = plain_audit(data)
    assert found(audit) == {"exact": 1}
    assert [p.side for p in audit.check("exact").findings[0].pictures] == ["train", "val"]


def test_blank_pictures_without_number_are_one_finding(sides, plain_audit):
    for number in range(30):
        pixels = np.full((60, 60, 3), 128, np.uint8)
        pixels[0, number] = 130
        write_picture(sides / "train" / "cat" / f"blank{number}.png", pixels)
    (finding,) = plain_audit(sides).check("near").findings
    assert len(finding.pictures) == 30


def test_folds_and_a_folder_for_validation_contradict_each_other_here_too(sides):
    with pytest.raises(DataError, match="so there are no folds to take them from"):
        hs.audit(sides, features=False, fold="1/5", progress=False)

"""Pictures are found again by the names that the tables of a RUN call them by."""

import os
import shutil

import pytest

from headstart.errors import DataError
from headstart.images.given import listed, locate
from headstart.recipe import Recipe


def check_found_again(recipe: Recipe, count: int) -> None:
    find = locate(recipe)
    pictures = listed(recipe).pictures
    assert len(pictures) == count
    for picture in pictures:
        assert find(picture.name, picture.side or "train") == os.path.normpath(picture.path)


def test_in_a_folder_and_in_a_lone_folder_for_training(pictures, tmp_path):
    check_found_again(Recipe(str(pictures(red=3, green=3))), 6)
    pictures("lone/train", red=3, green=3)
    check_found_again(Recipe(str(tmp_path / "lone")), 6)


def test_in_folders_for_sides_and_in_one_that_was_given_besides(pictures, tmp_path):
    pictures("both/train", red=3, green=3)
    pictures("both/val", red=2, green=2)
    check_found_again(Recipe(str(tmp_path / "both")), 10)
    val, test = pictures("elsewhere/val", red=2, green=2), pictures("test", red=1, green=1)
    check_found_again(Recipe(str(pictures(red=3, green=3)), val=str(val), test=str(test)), 12)


def test_in_a_zip(pictures, tmp_path):
    path = shutil.make_archive(str(tmp_path / "photos"), "zip", pictures("in/pets", red=3, green=3).parent)
    check_found_again(Recipe(path), 6)


def test_by_tables_one_for_each_side(pictures, tmp_path):
    for at, count in (("here", 3), ("there", 2)):
        folder = pictures(at, red=count, green=count)
        rows = [f"{label}/{number:03d}.png,{label}" for label in ("red", "green") for number in range(count)]
        (folder / "table.csv").write_text("path,label\n" + "\n".join(rows))
    check_found_again(Recipe(str(tmp_path / "here" / "table.csv"), val=str(tmp_path / "there" / "table.csv")), 10)


def test_by_the_pattern_of_their_names(pictures, tmp_path):
    folder = pictures(red=3, green=3)
    (tmp_path / "flat" / "deep").mkdir(parents=True)
    for path in sorted(folder.glob("*/*.png")):
        shutil.copy(
            path, tmp_path / "flat" / ("deep" if path.stem == "000" else "") / f"{path.parent.name}.{path.name}"
        )
    check_found_again(Recipe(str(tmp_path / "flat"), label_pattern="{label}.*"), 6)


def test_what_is_gone_is_refused_and_single_pictures_are_not_looked_for(pictures, tmp_path):
    folder = pictures(red=3, green=3)
    (folder / "red" / "000.png").unlink()
    assert locate(Recipe(str(folder)))("red/000.png", "train") == str(folder / "red" / "000.png")
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="no such folder"):
        locate(Recipe(str(folder)))

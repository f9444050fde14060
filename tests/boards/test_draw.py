"""Pictures for a board."""

import numpy as np
import pytest

from headstart.boards.draw import captioned, confusion_matrix, sheet


def cells(drawn: np.ndarray, classes: int, size: int) -> np.ndarray:
    """The colour of every cell, near its corner, where no number is."""
    top, left = drawn.shape[0] - 8 - size * classes, drawn.shape[1] - 8 - size * classes
    places = np.arange(classes) * size + 2
    return drawn[np.ix_(top + places, left + places)].astype(int)


def test_what_is_right_is_blue_what_is_wrong_is_red_and_more_of_it_is_darker():
    drawn = cells(confusion_matrix(np.array([[9, 1, 0], [4, 4, 0], [0, 0, 7]]), ["a", "b", "c"]), 3, 64)
    red, blue = drawn[:, :, 0] - drawn[:, :, 2], drawn[:, :, 2] - drawn[:, :, 0]
    assert (np.diag(blue) > 50).all()
    assert red[1, 0] > red[0, 1] > 10
    assert blue[2, 2] > blue[0, 0] > blue[1, 1]
    assert (abs(red[[0, 1, 2, 2], [2, 2, 0, 1]]) < 5).all()


@pytest.mark.parametrize("classes", [2, 26, 41, 1000])
def test_a_matrix_of_any_size_is_drawn_and_none_is_huge(classes):
    names = [f"a class with a name that is long {number}" for number in range(classes)]
    drawn = confusion_matrix(np.eye(classes, dtype=int) * 5, names)
    assert drawn.dtype == np.uint8
    assert max(drawn.shape) < 2100


def test_the_legend_fits_above_two_classes():
    drawn = confusion_matrix(np.eye(2, dtype=int), ["a", "b"])
    legend = drawn[:20] < 200
    assert legend.any()
    assert not legend[:, -8:].any()


def test_a_class_without_pictures_and_a_name_that_is_no_text_are_no_problem():
    drawn = confusion_matrix(np.array([[0, 0], [1, 3]]), ["\x1b[2J\n\udcff", "名前"])
    assert drawn.ndim == 3


def test_pictures_of_a_grid_are_what_they_were_and_long_captions_stay_below_their_picture():
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (10, 100, 200)]
    drawn = captioned(pictures, [("a", "b" * 100)] * 3, columns=2)
    assert (drawn[8:72, 8:72] == 10).all()
    assert (drawn[8:72, 80:144] == 100).all()
    assert (drawn[72:112, 72:80] == 255).all()  # between the captions
    assert (drawn[114:178, 8:72] == 200).all()


@pytest.mark.parametrize(("count", "across"), [(1, 1), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_sheet_is_square_and_filled_row_by_row(count, across):
    whole = sheet([np.full((8, 8, 3), number, np.uint8) for number in range(count)])
    assert whole.shape == (8 * across, 8 * across, 3)
    for number in range(count):
        row, column = divmod(number, across)
        assert (whole[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] == number).all()

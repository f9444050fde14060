"""PNGs: where they may go, what stands on them."""

import numpy as np
import pytest
from PIL import Image

from headstart.errors import InputError
from headstart.explaining.canvas import PAPER, WARM, Canvas, check_png, write_png
from headstart.explaining.draw import coloured, overlay, spread
from tests.conftest import make_picture, write_picture


def ink(canvas: Canvas) -> np.ndarray:
    """The columns in which something stands."""
    return np.flatnonzero((canvas.pixels != PAPER).any((0, 2)))


def test_without_heat_a_picture_is_grey_and_with_it_it_glows():
    shown = make_picture(1)
    cold = overlay(shown, np.zeros((3, 3)))
    assert np.ptp(cold.astype(int), axis=2).max() == 0
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    hot = overlay(shown, heat)
    assert hot[0, -1].sum() > cold[0, -1].sum()
    np.testing.assert_array_equal(hot[25:, :15], cold[25:, :15])


def test_a_heat_map_is_spread_smoothly_and_stays_between_nothing_and_all():
    heat = np.array([[0, 1], [1, 0]], np.float32)
    larger = spread(heat, 40, 60)
    assert larger.shape == (40, 60)
    assert larger.min() >= 0
    assert larger.max() <= 1
    assert np.abs(np.diff(larger, axis=1)).max() < 0.1


def test_colours_grow_lighter_all_the_way():
    light = coloured(np.linspace(0, 1, 40)[None])[0].astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all()


def test_a_long_line_is_shortened_in_its_middle():
    short, long = Canvas(300, 30), Canvas(300, 30)
    short.text("short", 10, 5, 100)
    long.text("a name that is much longer than what fits into a hundred pixels" * 3, 10, 5, 100)
    assert ink(short).max() < ink(long).max() <= 111


def test_a_line_may_end_where_another_begins():
    canvas = Canvas(300, 30)
    canvas.text("0.123", 100, 5, 80, right=True)
    assert 170 <= ink(canvas).max() <= 181


@pytest.mark.parametrize("text", ["Gänseblümchen", "犬", "a\nb\x1b[2J\u202egpj", "", "\udcff"])
def test_any_text_can_be_written(text):
    Canvas(200, 30).text(text, 0, 5, 150)


def test_a_bar_of_nothing_is_nothing():
    canvas = Canvas(20, 20)
    canvas.box(5, 5, 0, 10, WARM)
    assert not len(ink(canvas))


def test_what_was_written_here_is_written_over_and_nothing_else(tmp_path):
    ours, theirs = tmp_path / "deep" / "ours.png", write_picture(tmp_path / "theirs.png", make_picture(1))
    write_png(Canvas(20, 10), check_png(ours), {"Source": "a\nb.jpg"})
    write_png(Canvas(30, 10), check_png(ours), {})
    with Image.open(ours) as image:
        assert image.size == (30, 10)
    before = theirs.read_bytes()
    with pytest.raises(InputError) as error:
        check_png(theirs)
    assert str(error.value) == (
        f"{theirs} exists and is not from headstart explain. Give another --out, or remove it first."
    )
    assert theirs.read_bytes() == before
    assert sorted(path.name for path in ours.parent.iterdir()) == ["ours.png"]


def test_only_a_png_can_be_written(tmp_path):
    with pytest.raises(InputError, match=r"^cat\.jpg is no name for a PNG; let --out end in \.png\.$"):
        check_png(type(tmp_path)("cat.jpg"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"is a folder\. Give the name of a file in it\.$"):
        check_png(tmp_path / "folder.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="is not from headstart explain"):
        check_png(tmp_path / "text.png")

"""Random views: the same for the same picture, seed and number, and changed as was asked."""

import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from headstart.images import decode as module
from headstart.images.decode import DecodeRecipe, decode
from headstart.images.digest import picture_digest
from headstart.images.randaugment import adjust_colour, rand_augment, warp
from headstart.images.views import ASPECT_RATIOS, View
from headstart.specs import parse_ops
from tests.conftest import make_picture
from tests.images.test_decode import encoded

ALL = "flip,vflip,crop,rotate,colour,randaugment"
RECIPE = DecodeRecipe(32, 48)


def view(ops: str, number: int = 0, seed: int = 0) -> View:
    return View(parse_ops(ops), seed, number)


def picture(size: tuple[int, int] = (64, 96)) -> np.ndarray:
    return make_picture(1, size)


def png(pixels: np.ndarray | None = None) -> bytes:
    return encoded(Image.fromarray(picture() if pixels is None else pixels), "PNG")


def gradient(rows: int, columns: int) -> np.ndarray:
    """Red says how far right, green how far down: what is seen of a picture can be read off its colours."""
    right, down = np.meshgrid(np.linspace(0, 255, columns), np.linspace(0, 255, rows))
    return np.dstack([right, down, np.full_like(right, 128)]).astype(np.uint8)


@pytest.mark.parametrize("ops", ["flip", "crop", "rotate", "colour", "randaugment", ALL])
def test_a_view_is_the_same_every_time_and_others_differ(ops):
    views = [decode(png(), RECIPE, view(ops, number)) for number in range(12)]
    assert all(found.shape == (32, 48, 3) and found.dtype == np.uint8 for found in views)
    for number, found in enumerate(views):
        np.testing.assert_array_equal(found, decode(png(), RECIPE, view(ops, number)))
    assert len({found.tobytes() for found in views}) > (1 if ops == "flip" else 6)
    assert decode(png(), RECIPE, view(ALL, 0, seed=1)).tobytes() != decode(png(), RECIPE, view(ALL, 0)).tobytes()


def test_a_view_follows_from_the_bytes_and_not_from_the_process():
    script = (
        "import sys; from headstart.images.decode import *; from headstart.images.views import View\n"
        "from headstart.specs import parse_ops; from headstart.images.digest import picture_digest\n"
        f"found = decode(sys.stdin.buffer.read(), DecodeRecipe(32, 48), View(parse_ops({ALL!r}), 3, 4))\n"
        "print(picture_digest(found.tobytes()))"
    )
    done = subprocess.run([sys.executable, "-c", script], input=png(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == picture_digest(decode(png(), RECIPE, view(ALL, 4, 3)).tobytes())


def test_chance_is_the_same_on_every_machine():
    chance = view("flip", 2, 1).chance("ab")
    assert [round(chance.random(), 6) for _ in range(3)] == [0.082427, 0.853067, 0.363943]


def test_a_digest_that_is_known_gives_what_one_that_is_computed_gives():
    data = png()
    expected = decode(data, RECIPE, view(ALL))
    np.testing.assert_array_equal(decode(data, RECIPE, view(ALL), picture_digest(data)), expected)
    assert decode(data, RECIPE, view(ALL), picture_digest(b"another")).tobytes() != expected.tobytes()


def test_the_order_in_which_changes_are_named_does_not_matter():
    assert view("crop,flip,colour") == view("colour,flip,crop")
    assert view("crop,flip").identity() == {
        "ops": [["crop", 0.5], ["flip", 0.5]],
        "seed": 0,
        "number": 0,
        "version": 1,
    }
    assert json.loads(json.dumps(view(ALL).identity())) == view(ALL).identity()


def test_what_mixes_pictures_is_no_view():
    with pytest.raises(ValueError, match="^mixup and cutmix mixes the pictures of a batch and is no view of one.$"):
        view("flip,mixup,cutmix")


def test_a_view_without_changes_is_the_centre():
    np.testing.assert_array_equal(decode(png(), RECIPE, View((), 0, 0)), decode(png(), RECIPE))


def test_flips_are_flips_and_come_as_often_as_asked():
    centre = decode(png(), RECIPE)
    np.testing.assert_array_equal(decode(png(), RECIPE, view("flip:1")), centre[:, ::-1])
    np.testing.assert_array_equal(decode(png(), RECIPE, view("vflip:1")), centre[::-1])
    np.testing.assert_array_equal(decode(png(), RECIPE, view("flip:0,vflip:0")), centre)
    flipped = sum(decode(png(), RECIPE, view("flip:0.25", k)).tobytes() != centre.tobytes() for k in range(400))
    assert 70 < flipped < 130


def seen(found: np.ndarray) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of a gradient that is seen, as shares."""
    rows, columns = found[:, :, 1].mean(1), found[:, :, 0].mean(0)
    return rows[0] / 255, columns[0] / 255, rows[-1] / 255, columns[-1] / 255


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_a_crop_shows_the_box_that_was_drawn(fit, orientation):
    upright = gradient(200, 300)
    stored = np.rot90(upright, {1: 0, 3: 2, 6: 1}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    recipe = DecodeRecipe(40, 40, fit)
    for number in range(20):
        one = view("crop:0.1", number)
        box = one.box(1.5 if fit == "crop" else 1.0, one.chance(picture_digest(data)))
        assert seen(decode(data, recipe, one)) == pytest.approx(tuple(box), abs=1.5 / 40)


@given(st.floats(0.01, 1), st.floats(0.1, 10), st.integers(0, 1000))
def test_crops_keep_within_the_picture_the_area_and_the_aspect_ratio(smallest, aspect, number):
    one = view(f"crop:{smallest}", number)
    top, left, bottom, right = one.box(aspect, one.chance("x"))
    height, width = bottom - top, right - left
    assert -1e-9 <= top < bottom <= 1 + 1e-9
    assert -1e-9 <= left < right <= 1 + 1e-9
    assert ASPECT_RATIOS[0] - 1e-6 <= width * aspect / height <= ASPECT_RATIOS[1] + 1e-6
    largest = min(1, ASPECT_RATIOS[1] / aspect) * min(1, aspect / ASPECT_RATIOS[0])
    assert min(smallest, largest) - 1e-6 <= height * width <= 1 + 1e-6


def test_a_small_crop_of_a_large_jpeg_is_decoded_in_full_and_the_centre_is_not(monkeypatch):
    data = encoded(Image.fromarray(picture((512, 512))), "JPEG")
    flags = []
    real = cv2.imdecode
    monkeypatch.setattr(module.cv2, "imdecode", lambda data, flag: flags.append(flag) or real(data, flag))
    recipe = DecodeRecipe(64, 64)
    decode(data, recipe)
    decode(data, recipe, view("crop:1"))
    decode(data, recipe, view("crop:0.01", 3))
    factors = {cv2.IMREAD_REDUCED_GRAYSCALE_8: 8, cv2.IMREAD_REDUCED_GRAYSCALE_4: 4, cv2.IMREAD_REDUCED_GRAYSCALE_2: 2}
    rest = cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR_RGB
    reductions = [factors.get(flag & ~rest, 1) for flag in flags]
    one = view("crop:0.01", 3)
    box = one.box(1.0, one.chance(picture_digest(data)))
    side = min(box.bottom - box.top, box.right - box.left) * 512
    assert reductions[:2] == [8, 8]
    assert side / reductions[2] >= min(64, side)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_pictures_of_any_shape_have_views(size, fit):
    for number in range(10):
        assert decode(png(picture(size)), DecodeRecipe(32, 48, fit), view(ALL, number)).shape == (32, 48, 3)


def test_warping_turns_about_the_centre_and_mirrors_the_border():
    pixels = picture((33, 33))
    np.testing.assert_array_equal(warp(pixels), pixels)
    np.testing.assert_array_equal(warp(pixels, rotation=90), np.rot90(pixels))
    moved = warp(pixels, shift=(3 / 33, 0))
    np.testing.assert_array_equal(moved[:, 3:], pixels[:, :-3])
    np.testing.assert_array_equal(moved[:, :3], pixels[:, 3:0:-1])


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_colours_are_adjusted_as_pillow_does(name, enhancer, factor):
    expected = np.asarray(enhancer(Image.fromarray(picture())).enhance(factor), int)
    assert np.abs(adjust_colour(picture(), **{name: factor}).astype(int) - expected).max() <= 1


def test_all_three_at_once_are_what_they_are_one_after_the_other():
    pixels = picture() // 2 + 40  # nothing is clipped on the way
    steps = adjust_colour(pixels, brightness=1.2)
    steps = adjust_colour(adjust_colour(steps, contrast=0.7), saturation=0.5)
    assert np.abs(adjust_colour(pixels, 1.2, 0.7, 0.5).astype(int) - steps).max() <= 2


def test_randaugment_does_all_its_operations_and_leaves_what_it_was_given():
    pixels = picture((48, 48))
    kept = pixels.copy()
    results = {rand_augment(pixels, 1, view("randaugment", k).chance("")).tobytes() for k in range(300)}
    assert len(results) >= 14 + 8 - 1  # eight of them go both ways; equal results may coincide once
    np.testing.assert_array_equal(pixels, kept)


def test_views_look_like_the_picture():
    """Crops and flips of a flat picture are flat, and colours change by no more than was asked."""
    flat = np.full((40, 60, 3), 100, np.uint8)
    for number in range(20):
        assert (decode(png(flat), RECIPE, view("flip,crop,rotate:180", number)) == 100).all()
        shade = decode(png(flat), RECIPE, view("colour:0.2", number))
        assert 80 <= shade.min() <= shade.max() <= 120


def test_what_cannot_be_decoded_has_no_view_either():
    with pytest.raises(module.UndecodableError, match="^the file is empty$"):
        decode(b"", RECIPE, view(ALL))
    buffer = io.BytesIO(png())
    with pytest.raises(module.UndecodableError):
        decode(buffer.getvalue()[:200], RECIPE, view(ALL))

"""Pictures of every kind come out as RGB of the wanted size, or with the reason why not."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from headstart.images import decode as module
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from tests.conftest import make_picture

SIZE = DecodeRecipe(24, 32, "stretch")


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(make_picture(1, (24, 32))).convert(mode)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "1"),
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("GIF", "P"),
        ("TIFF", "RGB"),
        ("TIFF", "CMYK"),
        ("AVIF", "RGB"),
    ],
)
def test_every_format_comes_out_as_rgb_that_looks_like_the_picture(form, mode):
    found = decode(encoded(picture(mode), form), SIZE)
    assert found.shape == (24, 32, 3)
    assert found.dtype == np.uint8
    expected = np.asarray(picture(mode).convert("RGB"), int)
    assert np.abs(found - expected).mean() < 6  # lossy formats are a little off


def test_sixteen_bits_keep_their_high_byte():
    deep = np.random.default_rng(0).integers(0, 65536, (24, 32), np.uint16)
    assert cv2.imencode(".png", deep)[0]
    found = decode(cv2.imencode(".png", deep)[1].tobytes(), SIZE)
    np.testing.assert_array_equal(found[:, :, 0], deep >> 8)


def test_jpeg_agrees_with_pillow():
    data = encoded(picture(), "JPEG", quality=90)
    found = decode(data, SIZE).astype(int)
    assert np.abs(found - np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)).max() <= 3


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_is_turned_upright(form, orientation):
    upright = np.asarray(Image.fromarray(make_picture(2, (32, 24))))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif)
    found = decode(data, DecodeRecipe(32, 24, "stretch"))
    assert np.abs(found.astype(int) - upright).mean() < 4


def test_a_damaged_orientation_is_no_reason_to_give_up():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert decode(encoded(picture(), "JPEG", exif=exif), SIZE).shape == (24, 32, 3)


def test_crop_keeps_the_centre_and_the_aspect_ratio():
    wide = np.zeros((20, 100, 3), np.uint8)
    wide[:, 40:60] = 255
    found = decode(encoded(Image.fromarray(wide), "PNG"), DecodeRecipe(20, 20, "crop"))
    assert found.min() == 255


def test_stretch_keeps_everything():
    wide = np.zeros((20, 100, 3), np.uint8)
    wide[:, 40:60] = 255
    found = decode(encoded(Image.fromarray(wide), "PNG"), DecodeRecipe(20, 20, "stretch"))
    assert found[:, :7].max() == 0
    assert found[:, 9:11].min() == 255


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("factor", [2, 3, 5, 9])
def test_a_large_picture_is_averaged_and_not_sampled(form, factor):
    small = make_picture(3, (24, 32))
    large = cv2.resize(small, (32 * factor, 24 * factor), interpolation=cv2.INTER_LINEAR)
    noise = np.random.default_rng(0).integers(-30, 30, large.shape)
    noisy = np.clip(large.astype(int) + noise, 0, 255).astype(np.uint8)
    found = decode(encoded(Image.fromarray(noisy), form), SIZE).astype(int)
    assert np.abs(found - small).mean() < 30 / factor


def test_a_tiny_picture_is_enlarged():
    assert decode(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), SIZE)[3, 3].tolist() == [9, 8, 7]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(form, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, form)
    with pytest.raises(UndecodableError):
        decode(data[: int(len(data) * share)], SIZE)


def test_reasons_are_true_and_short():
    with pytest.raises(UndecodableError, match="^the file is empty$"):
        decode(b"", SIZE)
    with pytest.raises(UndecodableError, match="^not a picture in a known format but a PDF document$"):
        decode(b"%PDF-1.7 this is no picture", SIZE)
    data = encoded(picture(), "JPEG")
    with pytest.raises(UndecodableError, match="truncated"):
        decode(data[:-20], SIZE)


def test_a_picture_that_would_fill_the_memory_is_refused_from_its_header(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 100)
    with pytest.raises(UndecodableError, match="^32x24 pixels are more than the limit of 100$"):
        decode(encoded(picture(), "PNG"), SIZE)


def test_content_decides_and_not_a_name():
    assert decode(encoded(picture(), "WEBP"), SIZE).shape == (24, 32, 3)

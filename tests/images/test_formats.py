"""Every format and mode comes out as the pixels that were meant; what is none is named."""

import builtins
import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.formats import kind_of
from tests.conftest import make_picture
from tests.images.horrors import chunk, encoded

SIZE = (24, 32)
RECIPE = DecodeRecipe(*SIZE, "stretch")
PIXELS = make_picture(1, SIZE)
COLOUR = Image.fromarray(PIXELS)
GREY = COLOUR.convert("L")
ADAM7 = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]  # columns and rows of each pass, 8x8 pixels
RAMP = np.linspace(0, 1, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)


def decoded(data: bytes) -> np.ndarray:
    return decode(data, RECIPE).astype(int)


def as_grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values).astype(int)[:, :, None], 3, axis=2)


def tiff_of(array: np.ndarray, **tags: int) -> bytes:
    """An uncompressed TIFF of one strip, as cameras and microscopes write them."""
    rows, columns = array.shape[:2]
    samples = 1 if array.ndim == 2 else array.shape[2]
    bits = 8 * array.dtype.itemsize
    form = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    photometric = tags.get("photometric", 1 if samples == 1 else 2)
    values = [(256, 4, 1, columns), (257, 4, 1, rows), (259, 3, 1, 1), (262, 3, 1, photometric), (277, 3, 1, samples)]
    values += [(278, 4, 1, rows), (279, 4, 1, array.nbytes)]
    count = len(values) + 3
    after = 8 + 2 + 12 * count + 4
    depths = struct.pack("<4H", *[bits] * 4)
    values += [(258, 3, samples, bits if samples == 1 else after), (339, 3, 1, form), (273, 4, 1, after + 8)]
    entries = b"".join(struct.pack("<HHII", *value) for value in sorted(values))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + depths + array.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_a_png_of_any_mode_has_exactly_the_pixels_that_it_holds(mode):
    image = COLOUR.convert(mode)
    np.testing.assert_array_equal(decoded(encoded(image, "PNG")), np.asarray(image.convert("RGB"), int))


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PPM", "ICO", "JPEG2000", "WEBP"])
def test_formats_that_lose_nothing_have_exactly_the_pixels(form):
    options = {"ICO": {"sizes": [SIZE[::-1]]}, "WEBP": {"lossless": True}}.get(form, {})
    np.testing.assert_array_equal(decoded(encoded(COLOUR, form, **options)), PIXELS)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_compressed_tiff_looks_like_the_picture(compression):
    assert np.abs(decoded(encoded(COLOUR, "TIFF", compression=compression)) - PIXELS).mean() < 6


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB", "RGBA"])
def test_a_bitmap_of_any_mode(mode):
    image = COLOUR.convert(mode)
    np.testing.assert_array_equal(decoded(encoded(image, "BMP")), np.asarray(image.convert("RGB"), int))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped_and_what_is_behind_it_is_seen(mode):
    image = COLOUR.convert("RGBA")
    image.putalpha(0)
    if mode == "P":
        image = COLOUR.convert("P")
        image.info["transparency"] = 0
    image = image.convert(mode)
    expected = np.asarray(image.convert("RGB"), int)
    np.testing.assert_array_equal(decoded(encoded(image, "PNG")), expected)
    assert expected.max() > 100


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_of_sixteen_bits_the_high_byte_counts(form, channels):
    shape = SIZE if channels == 1 else (*SIZE, channels)
    deep = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    swapped = deep if channels == 1 else deep[..., [2, 1, 0, 3][:channels]]  # OpenCV has blue first
    data = tiff_of(deep) if form == "tiff" else cv2.imencode(".png", swapped)[1].tobytes()
    high = deep >> 8
    np.testing.assert_array_equal(decoded(data), as_grey(high) if channels == 1 else high[:, :, :3])


def test_sixteen_bits_in_which_white_is_zero_are_turned_round():
    deep = np.random.default_rng(0).integers(0, 65536, SIZE, np.uint16)
    np.testing.assert_array_equal(decoded(tiff_of(deep, photometric=0)), as_grey(255 - (deep >> 8)))


def test_a_sixteen_bit_portable_graymap():
    deep = np.random.default_rng(0).integers(0, 65536, SIZE, np.uint16)
    data = b"P5 %d %d 65535\n" % SIZE[::-1] + deep.astype(">u2").tobytes()
    assert np.abs(decoded(data) - as_grey(deep >> 8)).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (RAMP, RAMP * 255),
        (RAMP * 200, RAMP * 200),
        (RAMP * 40_000, RAMP * 40_000 / 257),
        (RAMP * 1e9, RAMP * 255),
        (RAMP * 4000 - 1000, RAMP * 255),
        (RAMP * 0 + 7e9, RAMP * 0),
    ],
    ids=["0-1", "0-255", "0-65535", "more", "below zero", "one number"],
)
def test_floating_point_has_the_first_usual_range_with_room_for_it(values, expected):
    for data in (tiff_of(values), encoded(Image.fromarray(values), "TIFF", compression="tiff_lzw")):
        assert np.abs(decoded(data) - as_grey(np.rint(expected))).max() <= 1


def test_what_is_no_number_is_black_and_infinity_is_white():
    values = RAMP.copy()
    values[0, :3] = np.nan, np.inf, -np.inf
    found = decoded(tiff_of(values))
    assert found[0, :3, 0].tolist() == [0, 255, 0]
    assert np.abs(found[1:] - as_grey(np.rint(RAMP * 255))[1:]).max() <= 1


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int16])
def test_integers_of_any_size_do_not_wrap_around(kind):
    ramp = RAMP.astype(np.float64)
    assert np.abs(decoded(tiff_of((ramp * 255).astype(kind))) - as_grey(ramp * 255)).max() <= 1
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    full = (low + ramp * (high - low)).astype(kind)
    assert np.abs(decoded(tiff_of(full)) - as_grey(ramp * 255)).max() <= 1


def test_cmyk_is_read_the_right_way_round_in_jpeg_and_tiff():
    image = COLOUR.convert("CMYK")
    expected = np.asarray(image.convert("RGB"), int)
    np.testing.assert_array_equal(decoded(encoded(image, "TIFF")), expected)
    data = encoded(image, "JPEG", quality=95)  # with Adobe's mark, and its inks the other way round
    assert b"Adobe" in data
    assert np.abs(decoded(data) - expected).mean() < 4


def test_cielab_becomes_srgb():
    rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(COLOUR, rgb, lab, outputMode="LAB")
    assert np.abs(decoded(encoded(image, "TIFF")) - PIXELS).mean() < 3


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(form):
    first, second = Image.new("RGB", (32, 24), (200, 10, 10)), Image.new("RGB", (32, 24), (10, 10, 200))
    data = encoded(first, form, save_all=True, append_images=[second])
    assert np.abs(decoded(data) - (200, 10, 10)).max() < 8


def test_of_a_stereo_picture_the_first_half_is_taken():
    data = encoded(COLOUR, "MPO", save_all=True, append_images=[COLOUR.rotate(180)], quality=95)
    assert np.abs(decoded(data) - PIXELS).mean() < 4


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_jpegs_of_all_sorts(options):
    assert np.abs(decoded(encoded(COLOUR, "JPEG", quality=95, **options)) - PIXELS).mean() < 5


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_format_that_says_how_the_camera_was_held_is_turned_upright(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(make_picture(2, (32, 24)), 1)))
    found = decode(encoded(stored, form, exif=exif), DecodeRecipe(32, 24, "stretch")).astype(int)
    assert np.abs(found - make_picture(2, (32, 24))).mean() < 6


def heif_of(image: Image.Image, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def test_heif_is_read_by_its_package_and_turned_upright_once():
    upright = make_picture(2, (64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1)))
    found = decode(heif_of(stored, exif=exif.tobytes()), DecodeRecipe(64, 48, "stretch")).astype(int)
    assert np.abs(found - upright).mean() < 6


def test_without_its_package_heif_is_refused_with_what_to_install(monkeypatch):
    data = heif_of(Image.new("RGB", (64, 64)))
    monkeypatch.delitem(sys.modules, "pillow_heif")
    real = builtins.__import__

    def without(name: str, *args: object, **options: object) -> object:
        if name == "pillow_heif":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UndecodableError, match=r"^a HEIF picture; to read these: pip install 'headstart\[heif\]'$"):
        decode(data, RECIPE)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", ("AVIF", "AVIF")),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", ("AVIF", "AVIF")),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ("HEIF", "HEIF")),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", ("HEIF", "HEIF")),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", (None, "a video")),
        (b"P6 1 1 255\n", ("PPM", "PPM")),
        (b"P6x", (None, "")),
        (b"\xef\xbb\xbf<?xml version='1.0'?><!-- a --><svg/>", (None, "an SVG drawing")),
        (b"<html>", (None, "a web page")),
        (b"", (None, "")),
    ],
)
def test_what_a_file_is_shows_in_its_first_bytes(data, kind):
    assert kind_of(data) == kind


def test_a_picture_is_read_the_same_in_parts_and_as_a_whole(monkeypatch):
    from headstart.images import decode as module

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (531, 397, 3), np.uint8))
    whole = decode(encoded(image, "PNG"), DecodeRecipe(32, 32))
    monkeypatch.setattr(module, "_PIXELS_AT_A_TIME", 5000)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), DecodeRecipe(32, 32)), whole)


@pytest.mark.parametrize("missing", [0, 1, 100])
def test_an_interlaced_png_without_its_last_pixels_is_refused(missing):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    rows = b"".join((b"\0" + bytes([90]) * columns) * count for columns, count in ADAM7)
    pixels = chunk(b"IDAT", zlib.compress(rows[: len(rows) - missing] if missing < 100 else rows[:10]))
    data = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    if not missing:
        assert (decoded(data) == 90).all()
        return
    with pytest.raises(
        UndecodableError, match="^damaged PNG: (it has fewer rows than it says|image file is truncated)"
    ):
        decode(data, RECIPE)


def test_a_black_picture_is_whole():
    assert decoded(encoded(Image.new("RGB", (50, 50)), "PNG")).max() == 0
    assert decoded(encoded(Image.new("P", (50, 50)), "PNG")).max() == 0


def test_a_grey_picture_is_whole():
    assert (decoded(encoded(Image.new("RGB", (200, 200), (128, 128, 128)), "JPEG")) == 128).all()

"""Pictures from programs: paths, bytes and arrays say the same, from one thread or from many."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.errors import DataError
from headstart.images.pictures import Quarantined
from tests.conftest import make_picture, write_picture
from tests.explaining.conftest import averaged, build, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> hs.Run:
    return write_run(tmp_path_factory.mktemp("handed") / "run", build(averaged), "classifier")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """One that is neither square nor of the network's size."""
    return np.asarray(Image.fromarray(make_picture(3)).resize((75, 51)))


def encoded(picture: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form)
    return buffer.getvalue()


def said(found: list[hs.Prediction]) -> list[dict[str, float]]:
    return [one.probabilities for one in found]


def test_a_file_its_bytes_and_its_pixels_are_one_picture(run, picture, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture))
    expected = said(run.predict(file))
    assert len(expected) == 1
    for given in (str(file), [file], tmp_path, encoded(picture), picture, picture[None], Image.fromarray(picture)):
        assert said(run.predict(given)) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels.astype(np.float64) / 255,
        lambda pixels: pixels.astype(np.float32),
        lambda pixels: pixels.astype(np.int64),
        lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], 9, np.uint8)]),
    ],
    ids=["0 to 1", "float 0 to 255", "int64", "with alpha"],
)
def test_the_numbers_of_an_array_mean_what_they_mean_in_a_file_of_arrays(run, picture, change):
    assert said(run.predict(change(picture))) == said(run.predict(picture))


def test_a_grey_array_is_a_grey_picture(run, picture):
    grey = picture[:, :, 0]
    assert said(run.predict(grey)) == said(run.predict(np.dstack([grey] * 3)))
    assert said(run.predict(grey[:, :, None])) == said(run.predict(grey))


def test_what_is_mixed_keeps_its_order_and_is_called_by_its_place(run, picture, tmp_path):
    write_picture(tmp_path / "a.png", picture)
    found = run.predict([picture, tmp_path / "a.png", np.stack([picture, 255 - picture]), encoded(255 - picture)])
    assert [one.path for one in found] == ["#0", str(tmp_path / "a.png"), "#2", "#3", "#4"]
    first, second, third, fourth, fifth = said(found)
    assert first == second == third
    assert fourth == fifth != first


def test_what_is_no_picture_is_left_out_and_told_to_who_asks(run, picture):
    good = encoded(picture)
    assert [one.path for one in run.predict([good[:90], good])] == ["#1"]
    with pytest.raises(DataError, match="none of the 2 pictures can be decoded; #0: "):
        run.predict([b"", good[:90]])
    assert run.predict([]) == []
    from headstart.images.pictures import Content

    assert isinstance(next(run.stream([Content("mine", good[:90])])), Quarantined)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((9, 9, 3), -1.0), "picture 0 holds values from -1 to -1"),
        (np.zeros((9, 9, 5), np.uint8), r"picture 0 is an array \(9, 9, 5\)"),
        (np.zeros((2, 9, 9, 5), np.uint8), "picture 0 has the shape"),
        (np.array([["a", "b"]]), "picture 0 is"),
        (np.full((9, 9, 3), np.nan), "no pixels"),
        (7, "a picture is a path, bytes or an array; int was given as picture 0"),
        ([b"x", None], "NoneType was given as picture 1"),
        ("no/such/file.jpg", "no such file or folder"),
    ],
)
def test_what_cannot_be_pictures_is_named(run, given, message):
    with pytest.raises(DataError, match=message):
        run.predict(given)


def test_many_threads_get_what_one_gets(picture, tmp_path):
    run = write_run(tmp_path / "run", build(averaged), "classifier")
    pictures = [np.roll(picture, shift, axis=1) for shift in range(24)]
    expected = said(write_run(tmp_path / "other", build(averaged), "classifier").predict(pictures))
    jobs = [(start, count) for count in (1, 2, 3, 5) for start in range(0, 16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: said(run.predict(pictures[job[0] : sum(job)])), jobs))
    for (start, count), rows in zip(jobs, found, strict=True):
        for row, other in zip(rows, expected[start : start + count], strict=True):
            assert row == pytest.approx(other, abs=1e-6)

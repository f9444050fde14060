"""Alike pictures are found without comparing each with each, and the work is bounded whatever the pictures."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.auditing import alike
from headstart.auditing.alike import MOST_BITS, STEPS, find_alike
from headstart.auditing.look import RECORD, _record
from tests.auditing.conftest import patchwork
from tests.conftest import make_picture


def looks(*pictures: bytes) -> np.ndarray:
    return np.concatenate([_record(data, "").view(RECORD) for data in pictures])


def encoded(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def grouped(records: np.ndarray) -> list[int]:
    return find_alike(records["hash"], records["mirrored"], records["thumbnail"]).groups.tolist()


BASE = cv2.resize(patchwork(1), (200, 160), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    "changed",
    [
        encoded(BASE, "JPEG", quality=40),
        encoded(BASE, "WEBP", quality=60),
        encoded(cv2.resize(BASE, (90, 72), interpolation=cv2.INTER_AREA)),
        encoded(cv2.resize(BASE, (517, 414)), "JPEG"),
        encoded(np.ascontiguousarray(BASE[:, ::-1]), "JPEG", quality=75),
        encoded(cv2.resize(np.ascontiguousarray(BASE[:, ::-1]), (150, 120))),
        encoded(cv2.convertScaleAbs(BASE, alpha=0.95, beta=4), "JPEG"),
        encoded(cv2.convertScaleAbs(BASE, alpha=0.75), "JPEG"),
    ],
    ids=["jpeg", "webp", "smaller", "larger", "mirrored", "mirrored smaller", "greyer", "darker"],
)
def test_a_changed_copy_is_alike(changed):
    first, second, other = grouped(looks(encoded(BASE), changed, encoded(patchwork(2))))
    assert first == second != other


def test_links_say_what_is_a_mirror_image():
    records = looks(encoded(BASE), encoded(np.ascontiguousarray(BASE[:, ::-1])), encoded(BASE, "JPEG"))
    found = find_alike(records["hash"], records["mirrored"], records["thumbnail"])
    said = {frozenset(pair): flag for *pair, flag in zip(found.first, found.second, found.mirrored, strict=True)}
    assert said[frozenset((0, 2))] == False  # noqa: E712 a NumPy boolean
    assert said.get(frozenset((0, 1)), said.get(frozenset((1, 2)))) == True  # noqa: E712


def test_pictures_that_only_share_their_colours_are_not_alike():
    pictures = [encoded(make_picture(seed, (64, 64), hue)) for hue in range(3) for seed in range(40)]
    assert len(set(grouped(looks(*pictures)))) == len(pictures)


def test_blank_pictures_are_alike_if_they_have_the_same_colour():
    red, also_red, green = (np.full((20, 20, 3), colour, np.uint8) for colour in ((200, 9, 9), (201, 9, 9), (9, 99, 9)))
    first, second, third = grouped(looks(encoded(red), encoded(also_red), encoded(green)))
    assert first == second != third


@given(st.integers(0, 2**32), st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_whatever_differs_in_few_bits_is_found(seed, count):
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, np.uint64)
    for row in range(1, count, 2):
        bits = random.permutation(64)[: random.integers(0, MOST_BITS + 1)]
        hashes[row] = hashes[row - 1] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    same = np.zeros((count, 12, 12, 3), np.uint8)
    groups = find_alike(hashes, random.integers(0, 2**64, count, np.uint64), same).groups
    for row in range(1, count, 2):
        assert groups[row] == groups[row - 1]


def test_thousands_of_the_same_are_one_group_and_thousands_of_one_hash_no_endless_search(monkeypatch):
    count = 2000
    hashes, thumbnails = np.full(count, 12345, np.uint64), np.zeros((count, 12, 12, 3), np.uint8)
    steps = []
    same = find_alike(hashes, hashes, thumbnails, steps.append)
    assert len(set(same.groups.tolist())) == 1
    assert len(same.first) < 10 * count
    assert sum(steps) == STEPS
    compared = []
    original = alike._agree
    monkeypatch.setattr(alike, "_agree", lambda pairs, *rest: compared.append(len(pairs)) or original(pairs, *rest))
    noise = np.random.default_rng(0).integers(0, 256, thumbnails.shape, np.uint8)
    assert len(set(find_alike(hashes, hashes, noise).groups.tolist())) == count
    assert sum(compared) < 30 * count


def test_no_pictures_have_no_groups():
    assert grouped(np.zeros(0, RECORD)) == []

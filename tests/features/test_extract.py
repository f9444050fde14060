"""Extraction: each picture once, whatever it is called; what is bad is named; what is damaged is computed again."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from headstart.features import extract as module
from headstart.features import stat_cache as stat_cache_module
from headstart.features.extract import Extraction, Quarantined, extract, hash_pictures, load_pictures
from headstart.features.runtime import PixelsRuntime
from headstart.features.stat_cache import StatCache
from headstart.features.store import Space, Store
from headstart.images.decode import DecodeRecipe, decode
from headstart.images.views import View
from headstart.specs import parse_ops

RECIPE = DecodeRecipe(8, 8)


class Counting:
    """A runtime that notes what it is given: the mean of each channel, and the first pixel."""

    def __init__(self):
        self.batches: list[int] = []

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        (pixels,) = batch
        assert pixels.dtype == np.uint8
        self.batches.append(len(pixels))
        return [pixels.mean((1, 2), dtype=np.float32), pixels[:, 0, 0].astype(np.float32)]


@pytest.fixture
def runtime():
    return Counting()


def space(view: View | None = None) -> Space:
    return Store().space({"test": 1, "view": "centre" if view is None else view.identity()}, {})


def run(paths, runtime, view: View | None = None) -> Extraction:
    names = [str(path) for path in paths]
    return extract(names, RECIPE, lambda: runtime, space(view), Store().stat_cache, view=view)


def view(number: int) -> View:
    return View(parse_ops("flip,crop,colour"), 7, number)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_second_run_computes_nothing_and_gives_the_same(pictures, runtime):
    paths = files(pictures(a=40, b=40))
    cold = run(paths, runtime)
    assert (cold.extracted, cold.reused) == (80, 0)
    assert runtime.batches == [32, 32, 16]
    warm = run(paths, None)
    assert (warm.extracted, warm.reused) == (0, 80)
    names = [str(path) for path in paths]
    for one, other in zip(cold.read(names), warm.read(names), strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_new_pictures_are_computed_when_some_are_added(pictures, runtime):
    folder = pictures(a=20, b=20)
    before = run(files(folder), runtime)
    kept = before.read([str(path) for path in files(folder)])
    old = files(folder)
    pictures(a=5, b=5, first=500)
    after = run(files(folder), runtime)
    assert (after.extracted, after.reused) == (10, 40)
    for one, other in zip(kept, after.read([str(path) for path in old]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_renaming_and_moving_compute_nothing_and_one_changed_pixel_computes_one(pictures, runtime, tmp_path):
    folder = pictures(a=10, b=10)
    run(files(folder), runtime)
    moved = shutil.move(folder, tmp_path / "elsewhere")
    (moved / "a" / "000.png").rename(moved / "a" / "zzz.jpeg")
    assert run(files(moved), None).extracted == 0
    target = moved / "b" / "000.png"
    shutil.copyfile(moved / "b" / "001.png", target)
    content = bytearray(target.read_bytes())
    target.write_bytes(bytes(content) + b"\0")  # still the same picture, but another file
    assert run(files(moved), runtime).extracted == 1


def test_duplicates_are_computed_once(pictures, runtime):
    folder = pictures(a=3, b=3)
    shutil.copyfile(folder / "a" / "000.png", folder / "a" / "copy.png")
    result = run(files(folder), runtime)
    assert (result.extracted, result.reused) == (6, 1)


def test_what_cannot_be_decoded_is_named_with_its_reason_and_the_rest_goes_on(pictures, runtime, tmp_path):
    folder = pictures(a=3, b=3)
    (folder / "a" / "empty.jpg").write_bytes(b"")
    (folder / "a" / "text.jpg").write_text("no picture")
    (folder / "b" / "half.png").write_bytes((folder / "b" / "000.png").read_bytes()[:60])
    result = run([*files(folder), tmp_path / "gone.png"], runtime)
    assert result.extracted == 6
    reasons = {Path(bad.path).name: bad.reason for bad in result.quarantined}
    assert reasons["empty.jpg"] == "the file is empty"
    assert reasons["text.jpg"] == "not a picture in a known format"
    assert reasons["gone.png"] == "cannot be read: No such file or directory"
    assert set(reasons) == {"empty.jpg", "text.jpg", "half.png", "gone.png"}


def test_damaged_features_are_reported_once_and_computed_again(pictures, runtime, caplog):
    paths = files(pictures(a=20, b=20))
    expected = run(paths, runtime).read([str(path) for path in paths])
    (shard,) = space().path.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    content[header + (len(content) - header) // 3] ^= 4
    shard.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = run(paths, runtime)
    assert (again.extracted, again.reused) == (1, 39)
    assert len(caplog.records) == 1
    for one, other in zip(expected, again.read([str(path) for path in paths]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_damage_and_new_pictures_at_once_are_both_computed(pictures, runtime, monkeypatch):
    folder = pictures(a=20, b=20)
    run(files(folder), runtime)
    (shard,) = space().path.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    content[header + (len(content) - header) // 3] ^= 4
    shard.write_bytes(content)
    pictures(a=3, b=3, first=500)
    result = run(files(folder), runtime)
    assert (result.extracted, result.reused) == (7, 39)
    assert len(result.read([str(path) for path in files(folder)])[0]) == 46


def test_names_that_are_no_text_are_no_obstacle(pictures, runtime):
    folder = pictures(a=2, b=2)
    os.rename(folder / "a" / "000.png", os.fsencode(folder / "a") + b"/bad\xff.png")
    result = run(files(folder), runtime)
    assert result.extracted == 4
    assert run(files(folder), None).extracted == 0


def test_a_kill_costs_at_most_the_batch_that_was_being_computed(pictures):
    paths = files(pictures(a=50, b=50))

    class Dies(Counting):
        def __call__(self, *batch):
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().__call__(*batch)

    with pytest.raises(KeyboardInterrupt):
        run(paths, Dies())
    second = Counting()
    assert run(paths, second).extracted == 100 - 2 * module.BATCH
    assert space().verify().damaged == 0


def test_no_more_than_a_few_batches_of_pictures_are_in_memory(pictures, monkeypatch):
    paths = [str(path) for path in files(pictures(a=200, b=200))]
    alive = 0
    most = 0
    real = module.decode

    def counting(*args):
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return real(*args)

    monkeypatch.setattr(module, "decode", counting)

    class Slow(Counting):
        def __call__(self, *batch):
            nonlocal alive
            alive -= len(batch[0])
            return super().__call__(*batch)

    run(paths, Slow())
    assert most <= 4 * module.BATCH


def test_pictures_are_loaded_in_order_with_reasons_for_the_bad_ones(pictures):
    folder = pictures(a=3, b=3)
    (folder / "a" / "0.txt").write_text("no picture")
    paths = [str(path) for path in files(folder)]
    loaded = list(load_pictures(paths, RECIPE))
    assert [path for path, _ in loaded] == paths
    assert loaded[0][1].shape == (8, 8, 3) if not isinstance(loaded[0][1], Quarantined) else True
    assert [isinstance(content, Quarantined) for _, content in loaded].count(True) == 1


def test_each_view_has_features_of_its_own_whatever_the_batch_and_the_run(pictures, runtime):
    folder = pictures(a=20, b=20)
    some, everything = files(folder)[::3], files(folder)
    run(some, runtime, view(1))
    both = {number: run(everything, runtime, view(number)) for number in (0, 1)}
    assert (both[1].extracted, both[1].reused) == (26, 14)
    names = [str(path) for path in everything]
    found = {number: result.read(names)[0] for number, result in both.items()}
    assert (found[0] != found[1]).any(axis=1).all()
    for number in (0, 1):
        expected = [
            decode(path.read_bytes(), RECIPE, view(number)).mean((0, 1), dtype=np.float32) for path in everything
        ]
        np.testing.assert_allclose(found[number], np.stack(expected), rtol=1e-5)


def test_damaged_features_of_a_view_are_computed_from_that_view(pictures, runtime):
    paths = files(pictures(a=10, b=10))
    expected = run(paths, runtime, view(0)).read([str(path) for path in paths])
    (shard,) = space(view(0)).path.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 4
    shard.write_bytes(content)
    again = run(paths, runtime, view(0))
    assert again.extracted == 1
    for one, other in zip(expected, again.read([str(path) for path in paths]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def hashed(monkeypatch) -> list[bytes]:
    """What was hashed; files may be remembered at once."""
    monkeypatch.setattr(stat_cache_module, "_RACY_NANOSECONDS", -(10**12))
    seen: list[bytes] = []
    real = module.picture_digest
    monkeypatch.setattr(module, "picture_digest", lambda data: seen.append(data) or real(data))
    return seen


def test_a_file_is_hashed_once_for_all_its_views(pictures, runtime, hashed):
    paths = files(pictures(a=10, b=10))
    run(paths, runtime)
    assert len(hashed) == 20
    for number in range(3):
        assert run(paths, runtime, view(number)).extracted == 20
    assert len(hashed) == 20


def test_a_file_that_changes_after_it_was_recognised_is_not_taken_for_what_it_was(
    pictures, runtime, hashed, monkeypatch
):
    paths = files(pictures(a=3, b=3))
    before = run(paths, runtime)
    real = StatCache.lookup

    def lookup(cache, names):
        found = real(cache, names)
        shutil.copyfile(paths[1], paths[0])
        return found

    monkeypatch.setattr(StatCache, "lookup", lookup)
    after = run(paths, runtime, view(0))
    assert after.digests[str(paths[0])] == before.digests[str(paths[1])]
    assert after.extracted == 5


def test_digests_are_found_without_decoding_and_remembered(pictures, runtime, hashed, monkeypatch, tmp_path):
    folder = pictures(a=3, b=3)
    (folder / "a" / "text.jpg").write_text("no picture, but a file")
    names = [str(path) for path in files(folder)] + [str(tmp_path / "gone.png")]
    monkeypatch.setattr(module, "decode", lambda *_: pytest.fail("decoded"))
    told: list[int] = []
    digests, unreadable = hash_pictures(names, Store().stat_cache, told.append)
    assert (list(digests), sum(told)) == (names[:-1], 8)
    assert unreadable == [Quarantined(names[-1], "cannot be read: No such file or directory")]


def test_digests_that_are_remembered_are_neither_read_nor_computed_again(pictures, hashed, monkeypatch):
    names = [str(path) for path in files(pictures(a=3, b=3))]
    first = hash_pictures(names, Store().stat_cache)
    assert len(hashed) == 6
    assert hash_pictures(names, Store().stat_cache) == first
    assert len(hashed) == 6


def test_the_digests_of_a_split_are_those_of_the_extraction(pictures, runtime):
    paths = files(pictures(a=3, b=3))
    digests, _ = hash_pictures([str(path) for path in paths], Store().stat_cache)
    assert run(paths, runtime).digests == digests


def test_pixels_are_kept_as_they_were_decoded(pictures):
    paths = files(pictures(a=40, b=40))
    for _ in range(2):  # merged in between
        (pixels,) = run(paths, PixelsRuntime()).read([str(path) for path in paths])
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, np.stack([decode(path.read_bytes(), RECIPE) for path in paths]))

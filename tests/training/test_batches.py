"""Batches of frontier tensors: the same whenever they are asked for again, and labels stay with their pictures."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.features.extract import Extraction
from headstart.features.keys import picture_digest
from headstart.features.runtime import PixelsRuntime
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.specs import Op, parse_ops
from headstart.training.batches import Batches, Kept, Streamed, mix
from tests.conftest import make_picture, write_picture

PATHS = [f"p{number}" for number in range(50)]
DIGESTS = {path: picture_digest(path.encode()) for path in PATHS}


def kept_view(number: int) -> Extraction:
    """Two frontier tensors of each picture, of which the first says which picture and which view it is."""
    space = Store().space({"view": number}, {}).refresh()
    vectors = np.array([[picture, number] for picture in range(len(PATHS))], np.float32)
    space.append(list(DIGESTS.values()), [vectors, np.zeros((len(PATHS), 4, 4, 3), np.float32)])
    return Extraction(space, DIGESTS)


@pytest.fixture
def views() -> list[Extraction]:
    return [kept_view(number) for number in range(3)]


def batches(source, seed: int | None = 1, **choices) -> Batches:
    return Batches(source, PATHS, np.arange(len(PATHS)), 8, seed, **choices)


def all_of(data: Batches, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """What an epoch shows, picture and view, and the targets with it."""
    data.begin(epoch)
    shown = [data[number] for number in range(len(data))]
    return np.concatenate([batch[0][0] for batch in shown]), np.concatenate([batch[1] for batch in shown])


def test_an_epoch_shows_every_picture_once_with_its_own_target(views):
    data = batches(Kept(views[:1]))
    shown, targets = all_of(data, 0)
    assert (len(data), data.pictures, len(data[0][1]), len(data[6][1])) == (7, 50, 8, 2)
    assert sorted(targets) == list(range(50))
    assert list(targets) != sorted(targets)
    np.testing.assert_array_equal(shown[:, 0], targets)


def test_without_a_seed_the_order_is_kept(views):
    data = batches(Kept(views[:1]), seed=None)
    for epoch in (0, 3):
        np.testing.assert_array_equal(all_of(data, epoch)[1], np.arange(50))


def test_an_epoch_is_the_same_whatever_was_asked_for_before_it(views):
    before, fresh = batches(Kept(views, 5)), batches(Kept(views, 5))
    for epoch in (0, 1, 2, 3):
        all_of(before, epoch)
    for ours, again in zip(all_of(before, 4), all_of(fresh, 4), strict=True):
        np.testing.assert_array_equal(ours, again)


def test_another_epoch_and_another_seed_have_another_order(views):
    orders = [tuple(all_of(batches(Kept(views[:1]), seed), epoch)[1]) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_each_kept_view_comes_once_before_any_comes_again(views):
    source = Kept(views, seed=7)
    drawn = np.array([source.read(PATHS, epoch)[0] for epoch in range(6)])
    np.testing.assert_array_equal(drawn[:, :, 0], np.tile(np.arange(50), (6, 1)))
    for turn in (drawn[:3, :, 1], drawn[3:, :, 1]):
        np.testing.assert_array_equal(np.sort(turn, axis=0), np.tile([[0], [1], [2]], 50))
    assert len({tuple(epoch) for epoch in drawn[:, :, 1]}) == 6
    assert len(set(drawn[0, :, 1])) == 3  # not the same view of all pictures at once


def test_weights_go_with_their_pictures(views):
    data = batches(Kept(views[:1]), weights=np.arange(50, dtype=np.float32))
    data.begin(2)
    _, targets, weights = data[3]
    np.testing.assert_array_equal(targets, weights)


def test_one_frontier_tensor_stands_alone_and_several_come_as_a_tuple(views):
    @dataclass
    class One:
        def read(self, paths, epoch):
            return [np.zeros((len(paths), 2), np.float32)]

    assert batches(One())[0][0].shape == (8, 2)
    assert [array.shape for array in batches(Kept(views[:1]))[0][0]] == [(8, 2), (8, 4, 4, 3)]


WEIGHTS = np.array([1, 2, 4, 8], np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_mixes_tensors_and_targets_in_the_same_proportion(seed):
    random = np.random.default_rng(seed)
    targets = np.eye(4, dtype=np.float32)
    (vectors, maps), (mixed, counts) = mix(
        [targets.copy(), np.broadcast_to(targets[:, None, None], (4, 3, 3, 4))],
        [targets, WEIGHTS],
        Op("mixup", 0.5),
        random,
    )
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, mixed, atol=1e-6)
    np.testing.assert_allclose(maps[:, 1, 2], mixed, atol=1e-6)
    np.testing.assert_allclose(counts, mixed @ WEIGHTS, rtol=1e-6)
    assert mixed.dtype == vectors.dtype == maps.dtype == np.float32


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_gives_targets_the_share_of_the_area_that_is_left(seed):
    random = np.random.default_rng(seed)
    targets = np.eye(4, dtype=np.float32)
    maps = np.broadcast_to(targets[:, None, None], (4, 12, 10, 4)).copy()
    before = maps.copy()
    (pasted,), (mixed,) = mix([maps], [targets], Op("cutmix", 1.0), random)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(pasted.mean(axis=(1, 2)), mixed, atol=1e-6)
    np.testing.assert_array_equal(maps, before)


def test_cutmix_keeps_the_proportion_as_far_as_small_maps_can_where_sizes_differ():
    targets = np.eye(4, dtype=np.float32)
    large, small = (np.broadcast_to(targets[:, None, None], (4, side, side, 4)).copy() for side in (28, 7))
    for seed in range(20):
        (one, other), (mixed,) = mix([large, small], [targets], Op("cutmix", 1.0), np.random.default_rng(seed))
        np.testing.assert_allclose(other.mean(axis=(1, 2)), mixed, atol=1e-6)
        np.testing.assert_allclose(one.mean(axis=(1, 2)), mixed, atol=1 - (6 / 7) ** 2)  # a row and a column of seven


def test_mixing_follows_from_the_seed_the_epoch_and_the_batch_alone(views):
    def shown(epoch: int) -> np.ndarray:
        data = Batches(Kept(views[:1]), PATHS, np.eye(50, dtype=np.float32), 8, 1, mixing=parse_ops("mixup"))
        data.begin(epoch)
        return data[2][1]

    np.testing.assert_array_equal(shown(4), shown(4))
    assert not np.array_equal(shown(4), shown(5))


@dataclass
class Recording:
    """A frozen part that gives what it gets."""

    seen: list[np.ndarray] = field(default_factory=list)

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        self.seen.append(pixels)
        return PixelsRuntime()(pixels)


def test_streamed_views_differ_by_epoch_and_equal_themselves(tmp_path):
    paths = [str(write_picture(tmp_path / f"{number}.png", make_picture(number))) for number in range(4)]
    source = Streamed(DecodeRecipe(32, 32), parse_ops("flip,crop,colour"), 3, Recording())
    first, second = source.read(paths, 0)[0], source.read(paths, 1)[0]
    assert first.shape == (4, 32, 32, 3)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, source.read(paths, 0)[0])
    np.testing.assert_array_equal(first[::-1], source.read(paths[::-1], 0)[0])
    assert all(pixels.dtype == np.uint8 for pixels in source.runtime.seen)


def test_a_streamed_picture_that_has_changed_is_named(tmp_path):
    path = write_picture(tmp_path / "1.png", make_picture(1))
    source = Streamed(DecodeRecipe(32, 32), parse_ops("flip"), 0, Recording())
    path.write_bytes(b"no picture any more")
    with pytest.raises(DataError) as caught:
        source.read([str(path)], 0)
    assert str(caught.value) == f"{path} has changed since the training began: not a picture in a known format"

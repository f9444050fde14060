"""Features are judged by heads that have not seen the picture, on the same folds for all."""

import numpy as np
import pytest

from headstart.comparing.judging import JUDGING_STEPS, Pool
from headstart.errors import DataError
from headstart.images.dataset import Example, Labelled
from headstart.images.pictures import Picture


def labelled(labels: list[int], digests: list[str] | None = None, groups: list[str | None] | None = None) -> Labelled:
    count = len(labels)
    digests = digests or [f"{number:040d}" for number in range(count)]
    groups = groups or [None] * count
    pictures = [Picture(f"{n}.jpg", f"{n}.jpg", str(labels[n]), "train", groups[n]) for n in range(count)]
    examples = tuple(Example(picture, digest, "train") for picture, digest in zip(pictures, digests, strict=True))
    return Labelled(examples, tuple(picture.path for picture in pictures), np.array(labels))


def numbers(pool: Pool) -> list[int]:
    return [int(path.removesuffix(".jpg")) for path in pool.paths]


def test_every_beginning_has_of_every_class_its_share():
    labels = [0] * 600 + [1] * 300 + [3] * 100
    pool = Pool.of(labelled(labels), seed=0)
    assert sorted(numbers(pool)) == list(range(1000))
    assert [labels[number] for number in numbers(pool)] == pool.labels.tolist()
    for count in (10, 50, 333, 500):
        found = np.bincount(pool.labels[:count], minlength=4) / count
        assert np.abs(found - [0.6, 0.3, 0.0, 0.1]).max() <= 1 / count + 1e-9


def test_which_pictures_come_first_is_drawn_by_the_seed():
    pictures = labelled([0, 1] * 50)
    assert Pool.of(pictures, 0).paths == Pool.of(pictures, 0).paths
    assert Pool.of(pictures, 0).paths != Pool.of(pictures, 1).paths
    assert numbers(Pool.of(pictures, 0))[:20] != sorted(numbers(Pool.of(pictures, 0))[:20])


def test_neither_copies_nor_groups_are_divided_over_folds():
    digests = [f"{number // 2:040d}" for number in range(60)]
    groups = [None] * 30 + [f"patient {number // 5}" for number in range(30)]
    pool = Pool.of(labelled([0, 1] * 30, digests, groups), 0)
    folds = pool.trial(np.arange(60), 0).folds
    of_number = dict(zip(numbers(pool), folds, strict=True))
    for number in range(30):
        assert of_number[2 * (number // 2)] == of_number[2 * (number // 2) + 1]
    for first in range(30, 60, 5):
        assert len({of_number[number] for number in range(first, first + 5)}) == 1
    assert len(set(folds)) > 1


def test_good_features_are_told_from_noise_and_two_halves_are_better_than_one():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400).tolist()
    pool = Pool.of(labelled(labels), 0)
    trial = pool.trial(np.arange(400), 0)
    noise = random.normal(size=(400, 8)).astype(np.float32)
    one, other = (noise + 1.5 * (trial.labels == which)[:, None] for which in (0, 1))
    said = [trial.judge(features) for features in ([noise], [one], [one, other])]
    assert [verdict.judged for verdict in said] == [400, 400, 400]
    assert said[0].accuracy < 0.4 < said[1].accuracy < said[2].accuracy
    assert said[0].loss > said[1].loss > said[2].loss
    for verdict in said:
        assert verdict.low < verdict.accuracy < verdict.high
        assert verdict.accuracy == verdict.hits.mean()


def test_labels_without_gaps_are_made_of_a_sample_that_lacks_a_class():
    pool = Pool.of(labelled([0] * 20 + [1] * 20 + [2] * 20), 0)
    rows = np.flatnonzero(pool.labels != 1)
    trial = pool.trial(rows, 0)
    assert sorted(set(trial.labels)) == [0, 1]
    assert trial.judge([np.eye(2, dtype=np.float32)[trial.labels]]).accuracy == 1.0


def test_a_lone_picture_of_a_class_is_learned_from_and_not_judged():
    pool = Pool.of(labelled([0] * 20 + [1] * 20 + [2]), 0)
    trial = pool.trial(np.arange(41), 0)
    assert (trial.folds == -1).sum() == 1
    verdict = trial.judge([np.eye(3, dtype=np.float32)[trial.labels]])
    assert (len(verdict.hits), verdict.judged) == (40, 41)


def test_progress_is_told_of_no_more_fits_than_were_announced():
    pool = Pool.of(labelled([0, 1] * 30), 0)
    told: list[int] = []
    pool.trial(np.arange(60), 0).judge([np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)], told.append)
    assert 0 < sum(told) <= JUDGING_STEPS


def test_pictures_of_which_none_can_be_held_out_are_refused():
    pool = Pool.of(labelled([0, 0, 1, 1], ["a" * 40, "a" * 40, "b" * 40, "b" * 40]), 0)
    with pytest.raises(DataError) as caught:
        pool.trial(np.arange(4), 0)
    assert str(caught.value) == (
        "there are too few pictures to compare backbones on: no class has two to learn from that are not the same one "
        "or of one group."
    )

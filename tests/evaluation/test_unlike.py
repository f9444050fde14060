"""Pictures that are unlike the training data."""

from pathlib import Path

import numpy as np
import pytest

from headstart.evaluation.unlike import (
    FALSE_ALARMS,
    FEWEST,
    Familiarity,
    learn_familiarity,
    pooled,
    read_familiarity,
    write_familiarity,
)


def cloud(seed: int, pictures: int, at: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    points = random.normal(0.0, 0.2, (pictures, 16)).astype(np.float32)
    points[:, at] += 3
    return points


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    found = learn_familiarity(cloud(0, 500), cloud(1, 400))
    assert found is not None
    return found


def test_pictures_from_elsewhere_are_flagged(familiarity: Familiarity):
    assert (familiarity.shares(cloud(2, 50, at=5)) < familiarity.least_share).all()


def test_of_pictures_like_the_training_pictures_hardly_more_are_flagged_than_was_promised(familiarity: Familiarity):
    flagged = np.mean(familiarity.shares(cloud(3, 5000)) < familiarity.least_share)
    assert 0 < flagged < 2 * FALSE_ALARMS


def test_shares_are_the_ranks_among_validation_pictures(familiarity: Familiarity):
    features = cloud(4, 30)
    distances = familiarity.distances(features)
    usual = familiarity.distances(cloud(1, 400))
    wanted = [(1 + np.sum(usual >= distance)) / 401 for distance in distances]
    assert np.allclose(familiarity.shares(features), wanted)


def test_distances_are_means_of_the_nearest_cosine_distances(familiarity: Familiarity):
    train, features = cloud(0, 500), cloud(5, 4)
    unit = train / np.linalg.norm(train, axis=1, keepdims=True)
    for picture, found in zip(features, familiarity.distances(features), strict=True):
        assert found == pytest.approx(np.sort(1 - unit @ (picture / np.linalg.norm(picture)))[:5].mean(), abs=2e-3)


def test_few_validation_pictures_flag_what_is_farther_than_all_of_them_and_fewer_flag_nothing():
    some = learn_familiarity(cloud(0, 50), cloud(1, FEWEST))
    assert some is not None
    assert (some.shares(cloud(2, 5, at=5)) < some.least_share).all()
    assert not (some.shares(cloud(1, FEWEST)) < some.least_share).any()
    assert learn_familiarity(cloud(0, 50), cloud(1, FEWEST - 1)) is None


def test_it_is_read_as_it_was_written(familiarity: Familiarity, tmp_path: Path):
    write_familiarity(tmp_path / "usual.safetensors", familiarity)
    found = read_familiarity(tmp_path / "usual.safetensors")
    assert np.array_equal(found.references, familiarity.references)
    assert np.array_equal(found.usual, familiarity.usual)


def test_a_single_training_picture_and_features_of_nought_are_no_error():
    found = learn_familiarity(np.zeros((1, 8), np.float32), np.zeros((FEWEST, 8), np.float32))
    assert found is not None
    assert np.isfinite(found.shares(np.zeros((3, 8), np.float32))).all()
    assert found.shares(np.zeros((0, 8), np.float32)).shape == (0,)


def test_maps_are_averaged_and_put_side_by_side():
    maps = np.arange(2 * 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 2, 3)
    vectors = np.ones((2, 4), np.float32)
    found = pooled([maps, vectors])
    assert found.shape == (2, 7)
    assert np.allclose(found[:, :3], maps.mean(axis=(1, 2)))

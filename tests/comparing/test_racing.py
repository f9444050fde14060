"""Who cannot win any more is put out, who may is not, and the fastest of the good ones is recommended."""

import numpy as np
import pytest

from headstart.comparing.racing import best_of, hopeless, recommended, sizes
from tests.comparing.conftest import right, verdict


@pytest.mark.parametrize(
    ("total", "rounds"),
    [
        (10_000, [500, 1000, 2000, 4000, 10_000]),
        (12_100, [500, 1000, 2000, 4000, 8000, 12_100]),
        (2569, [500, 1000, 2569]),
        (751, [500, 751]),
        (750, [750]),
        (20, [20]),
    ],
)
def test_each_round_has_twice_as_many_pictures_until_nearly_all_are_all(total, rounds):
    assert list(sizes(500, total)) == rounds


def test_who_is_clearly_worse_than_the_best_is_put_out_by_it_however_fast():
    verdicts = [right(0.9, seed=1), right(0.6, seed=2), right(0.8, seed=3)]
    assert hopeless(verdicts, [10, 1000, 500], share=0.1) == {1: 0, 2: 0}


def test_who_is_equally_good_stays():
    verdicts = [right(0.9, seed=seed) for seed in range(5)]
    assert hopeless(verdicts, [100, 200, 300, 400, 500], share=0.1) == {}


def test_who_says_the_very_same_stays_even_if_slower():
    same = right(0.9)
    assert hopeless([same, same], [10, 100], share=0.5) == {}


def test_who_is_slower_and_could_not_get_clearly_ahead_is_put_out_before_it_is_clearly_worse():
    """20 pictures only the fast one has right, 12 only the slow one: -0.016 of 500, from -0.038 to +0.006."""
    hits = np.ones(500, bool)
    fast, slow = hits.copy(), hits.copy()
    fast[:12], slow[12:32] = False, False
    verdicts = [verdict(fast), verdict(slow)]
    assert hopeless(verdicts, [100, 10], share=0.5) == {1: 0}
    assert hopeless(verdicts, [10, 100], share=0.5) == {}
    # So few of all that in the end the interval is a seventh as wide: then it could still be clearly ahead.
    assert hopeless(verdicts, [100, 10], share=0.02) == {}


def test_what_is_as_fast_within_the_accuracy_of_measuring_is_no_reason():
    hits = np.ones(500, bool)
    fast, slow = hits.copy(), hits.copy()
    fast[:12], slow[12:32] = False, False
    assert hopeless([verdict(fast), verdict(slow)], [100, 95], share=0.5) == {}


def test_the_best_is_never_put_out():
    random = np.random.default_rng(0)
    for _ in range(8):
        verdicts = [right(float(random.uniform(0.7, 0.9)), 200, int(random.integers(1000))) for _ in range(6)]
        assert best_of(verdicts) not in hopeless(
            verdicts, list(random.uniform(10, 1000, 6)), float(random.uniform(0.1, 1))
        )


def test_the_fastest_that_is_not_clearly_worse_is_recommended():
    verdicts = [right(0.9, seed=1), right(0.89, seed=2), right(0.6, seed=3)]
    assert recommended(verdicts, [10, 100, 1000]) == 1
    assert recommended(verdicts, [100, 10, 1000]) == 0


def test_of_equally_fast_ones_the_more_accurate_is_recommended():
    verdicts = [right(0.9, seed=1), right(0.89, seed=2)]
    assert recommended(verdicts, [100, 105]) == 0
    assert recommended(verdicts, [100, 120]) == 1


def test_of_equally_accurate_ones_the_surer_is_best():
    assert best_of([verdict([True, False], 0.5), verdict([False, True], 0.4)]) == 1

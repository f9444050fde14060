"""The split: by content, stratified, stable when the data grows."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.images.pictures import Side
from headstart.images.split import Shares, split_by_content, split_by_group
from headstart.specs import Fold


def by_content(labels, digests, val: float, seed: int, test: float = 0.0, fold: Fold | None = None) -> list[Side]:
    return split_by_content(labels, digests, Shares(val, test, seed, fold))


def by_group(labels, digests, groups, val: float, seed: int, test: float = 0.0, fold: Fold | None = None) -> list[Side]:
    return split_by_group(labels, digests, groups, Shares(val, test, seed, fold))


def digests(count: int, start: int = 0) -> list[str]:
    return [hashlib.blake2b(str(number).encode(), digest_size=20).hexdigest() for number in range(start, start + count)]


@given(st.integers(2, 400), st.floats(0.05, 0.95), st.integers(0, 10))
def test_every_class_is_on_both_sides_with_about_the_share_asked_for(count, fraction, seed):
    sides = by_content(["a"] * count, digests(count), fraction, seed)
    share = sides.count("val") / count
    assert 1 <= sides.count("val") <= count - 1
    assert fraction / 2 - 1 / count <= share <= 1.5 * fraction + 1 / count


@given(st.integers(4, 400), st.floats(0.05, 0.3), st.floats(0.05, 0.3), st.integers(0, 10))
def test_all_three_sides_have_about_the_share_asked_for(count, val, test, seed):
    sides = by_content(["a"] * count, digests(count), val, seed, test)
    assert sides.count("train") >= 1
    for side, share in (("val", val), ("test", test)):
        assert sides.count(side) >= 1
        assert share / 2 - 1 / count <= sides.count(side) / count <= 1.5 * share + 1 / count


@given(st.integers(1, 300), st.floats(0, 0.9), st.floats(0.01, 0.95), st.integers(0, 10))
def test_asking_for_a_test_part_moves_pictures_to_it_and_no_others(count, val, test, seed):
    before = by_content(["a"] * count, digests(count), val, seed)
    after = by_content(["a"] * count, digests(count), val, seed, min(test, 0.99 - val))
    assert all(new in (old, "test") for old, new in zip(before, after, strict=True))
    assert "train" in after


def test_the_test_part_follows_from_content_and_seed_and_not_from_the_validation_share():
    keys = digests(2000)
    parts = [by_content(["a"] * 2000, keys, val, 0, 0.2) for val in (0.0, 0.1, 0.3)]
    assert len({tuple(side == "test" for side in sides) for sides in parts}) == 1
    assert set(parts[0]) == {"train", "test"}


@pytest.mark.parametrize(("count", "expected"), [(1, "train"), (2, "train val"), (3, "test train val")])
def test_where_there_are_too_few_the_test_part_goes_short(count, expected):
    assert " ".join(sorted(by_content(["a"] * count, digests(count), 0.2, 0, 0.2))) == expected


def test_growth_moves_nobody_across_with_a_test_part_either():
    before, more = digests(300), digests(300, start=300)
    old = by_content(["a"] * 300, before, 0.2, 0, 0.2)
    assert by_content(["a"] * 600, before + more, 0.2, 0, 0.2)[:300] == old


def test_large_classes_come_close_to_the_share():
    labels = [str(number % 4) for number in range(8000)]
    sides = np.array(by_content(labels, digests(8000), 0.2, 0))
    for label in "0123":
        assert np.mean(sides[np.array(labels) == label] == "val") == pytest.approx(0.2, abs=0.03)


def test_order_and_names_do_not_matter():
    keys = digests(50)
    sides = dict(zip(keys, by_content(["a"] * 50, keys, 0.3, 1), strict=True))
    turned = dict(zip(keys[::-1], by_content(["a"] * 50, keys[::-1], 0.3, 1), strict=True))
    assert sides == turned


def test_duplicates_are_on_one_side():
    keys = digests(30) * 2
    sides = by_content(["a"] * 60, keys, 0.3, 0)
    assert sides[:30] == sides[30:]


def test_growth_moves_nobody_across():
    before, more = digests(300), digests(300, start=300)
    old = by_content(["a"] * 300, before, 0.2, 0)
    new = by_content(["a"] * 600, before + more, 0.2, 0)
    assert new[:300] == old


def test_another_seed_gives_another_split():
    keys = digests(100)
    assert by_content(["a"] * 100, keys, 0.2, 0) != by_content(["a"] * 100, keys, 0.2, 1)


def test_the_split_of_a_seed_is_the_same_on_every_machine():
    sides = by_content(["a"] * 20, digests(20), 0.25, 7)
    assert [number for number, side in enumerate(sides) if side == "val"] == [1, 12, 14]


def test_one_content_only_is_for_training():
    assert by_content(["a", "a"], digests(1) * 2, 0.5, 0) == ["train", "train"]


GROUPED = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.one_of(st.none(), st.integers(0, 12).map(str))), min_size=1
)


@given(GROUPED, st.floats(0.05, 0.5), st.sampled_from([0.0, 0.2]), st.integers(0, 5))
def test_what_belongs_together_is_on_one_side_and_every_class_can_be_learned(pictures, val, test, seed):
    labels, digests, groups = ([row[i] for row in pictures] for i in range(3))
    digests = [str(digest) for digest in digests]
    sides = by_group(labels, digests, groups, val, seed, test)
    for keys in (digests, groups):
        for key in set(keys) - {None}:
            assert len({side for side, other in zip(sides, keys, strict=True) if other == key}) == 1
    for label in set(labels):
        assert "train" in {side for side, other in zip(sides, labels, strict=True) if other == label}
    assert test or "test" not in sides


@given(GROUPED, st.integers(0, 5))
def test_groups_stay_where_they_are_whatever_the_order(pictures, seed):
    rows = [(label, str(digest), group) for label, digest, group in pictures]
    sides = by_group(*zip(*rows, strict=True), 0.3, seed)
    turned = by_group(*zip(*rows[::-1], strict=True), 0.3, seed)
    assert turned[::-1] == sides


@pytest.mark.parametrize("test", [0.0, 0.2])
def test_a_class_of_several_groups_is_on_every_side(test):
    for seed in range(20):
        labels = [label for label in "ab" for _ in range(30)]
        groups = [f"{label}{number // 3}" for label in "ab" for number in range(30)]
        sides = by_group(labels, digests(60), groups, 0.2, seed, test)
        for half in (sides[:30], sides[30:]):
            assert set(half) == ({"train", "val", "test"} if test else {"train", "val"})


def test_more_groups_move_nobody_across():
    groups = [str(number // 4) for number in range(2400)]
    before = by_group(["a"] * 1200, digests(1200), groups[:1200], 0.2, 0)
    after = by_group(["a"] * 2400, digests(2400), groups, 0.2, 0)
    assert after[:1200] == before
    assert before != by_group(["a"] * 1200, digests(1200), groups[:1200], 0.2, 1)
    assert 0.15 < before.count("val") / 1200 < 0.25


def test_a_picture_in_two_groups_ties_them_together():
    rows = [("x", "1"), ("y", "1"), ("x", "2"), ("z", "2"), ("z", "3")]
    for seed in range(20):
        sides = by_group(["a"] * 6, [*(digest for digest, _ in rows), "w"], [*(g for _, g in rows), "4"], 0.5, seed)
        assert len(set(sides[:5])) == 1
        assert {sides[0], sides[5]} == {"train", "val"}


@given(st.integers(1, 200), st.integers(2, 12), st.sampled_from([0.0, 0.2]), st.integers(0, 5))
def test_over_all_folds_every_picture_is_checked_once_and_never_in_a_test_part(count, folds, test, seed):
    runs = [by_content(["a"] * count, digests(count), 0.2, seed, test, Fold(n, folds)) for n in range(1, folds + 1)]
    tested = by_content(["a"] * count, digests(count), 0.2, seed, test).count("test")
    for sides in zip(*runs, strict=True):
        if "test" in sides:
            assert set(sides) == {"test"}
        else:
            assert sides.count("val") == (1 if count - tested > 1 else 0)
    assert all("train" in sides for sides in runs)


@given(GROUPED, st.integers(2, 6), st.integers(0, 5))
def test_over_all_folds_every_group_is_checked_once_unless_nothing_else_is_left_to_learn_from(pictures, folds, seed):
    labels, keys, groups = ([row[i] for row in pictures] for i in range(3))
    keys = [str(key) for key in keys]
    runs = [by_group(labels, keys, groups, 0.2, seed, 0.0, Fold(n, folds)) for n in range(1, folds + 1)]
    for sides in runs:
        for names in (keys, groups):
            for name in set(names) - {None}:
                assert len({side for side, other in zip(sides, names, strict=True) if other == name}) == 1
        for label in set(labels):
            assert "train" in {side for side, other in zip(sides, labels, strict=True) if other == label}
    assert all(sides.count("val") <= 1 for sides in zip(*runs, strict=True))


def test_more_pictures_move_nobody_to_another_fold():
    for number in range(1, 6):
        old = by_content(["a"] * 400, digests(400), 0.2, 0, 0.2, Fold(number, 5))
        assert by_content(["a"] * 900, digests(900), 0.2, 0, 0.2, Fold(number, 5))[:400] == old
        assert 0.12 < old.count("val") / 400 < 0.2

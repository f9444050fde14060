"""The race from few pictures to all, with features that are made up: who is computed on how many."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from headstart.comparing.compare import Race
from headstart.comparing.contenders import Computed, Workshop
from headstart.comparing.costs import Cost
from headstart.comparing.entries import parse_entries
from headstart.comparing.judging import Pool
from headstart.comparing.leaderboard import rank
from headstart.errors import DataError, WeightsError
from headstart.features.extract import Extraction
from headstart.features.store import Space, Store
from headstart.images.pictures import Listing
from headstart.recipe import Recipe
from tests.comparing.test_judging import labelled

SPEEDS = {"nano": 400.0, "mobilenet": 390.0, "vgg16": 20.0, "vgg19": 10.0}


class Kept(Extraction):
    """Features in memory, by path."""

    def __init__(self, values: dict[str, np.ndarray]):
        super().__init__(Space.__new__(Space), digests=dict.fromkeys(values, "0" * 40))
        self.values = values

    def read(self, paths):
        return [np.stack([self.values[path] for path in paths])]


@dataclass
class MadeUp(Workshop):
    """A workshop that knows how good features are without computing any."""

    pool: Pool | None = None
    strength: dict[str, float] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    asked: dict[str, list[int]] = field(default_factory=dict)

    def run(self, entry, paths):
        if entry.weights == "missing.h5":
            self.left_out[entry] = "no such weights file: missing.h5."
            return False
        self.asked.setdefault(str(entry), []).append(len(paths))
        signal = np.eye(3)[self.pool.labels] * self.strength[entry.backbone]
        noise = np.random.default_rng(len(entry.backbone) + ord(entry.backbone[-1])).normal(size=(len(self.pool), 6))
        values = np.concatenate([signal, np.zeros_like(signal)], axis=1) + noise
        good = {p: values[row].astype(np.float32) for row, p in enumerate(paths) if p not in self.broken}
        self.computed[entry] = Computed(Kept(good), 6, Cost(SPEEDS[entry.backbone], 1000), len(good))
        return True


def race(text: str, count: int = 400, first: int = 100, broken: tuple[str, ...] = (), **strength: float) -> Race:
    pool = Pool.of(labelled(np.random.default_rng(0).integers(0, 3, count).tolist()), 0)
    recipe = Recipe("photos", strategy="head")
    workshop = MadeUp(recipe, Listing("photos", (), ()), Store(), False, pool=pool, strength=strength)
    workshop.broken = frozenset(broken)
    started = Race(workshop, pool)
    started.run(parse_entries(text), first)
    return started


def names(found: Race) -> list[str]:
    return [row.name for row in rank(found.running, found.out, found.workshop).rows]


def test_the_hopeless_are_computed_on_a_sample_and_ties_on_all():
    found = race("nano,mobilenet,vgg16:none", nano=3.0, mobilenet=3.0, vgg16=0.0)
    assert found.workshop.asked["vgg16:none"] == [100]
    assert found.workshop.asked["nano"][-1] == found.workshop.asked["mobilenet"][-1] == 400
    assert found.rounds == [100, 200, 400]
    rows = rank(found.running, found.out, found.workshop).rows
    last = rows[-1]
    assert (last.name, last.pictures, last.in_the_end) == ("vgg16:none", 100, False)
    assert last.behind is not None
    assert last.behind.high < 0
    assert {row.name for row in rows if row.in_the_end} >= {"nano", "mobilenet"}


def test_better_features_rank_higher_and_of_equally_good_ones_the_fast_one_is_recommended():
    found = race("vgg16:a.h5,nano,vgg19:b.h5", nano=2.0, vgg16=2.0, vgg19=0.5)
    board = rank(found.running, found.out, found.workshop)
    assert names(found)[-1] == "vgg19:b.h5"
    assert board.choice.name == "nano"
    assert board.choice.command == "headstart train photos --backbone nano --strategy head --out RUN"


def test_the_last_one_left_goes_to_all_pictures_at_once():
    found = race("nano,vgg16:none", nano=3.0, vgg16=0.0)
    assert found.workshop.asked == {"nano": [100, 400], "vgg16:none": [100]}
    assert found.rounds == [100, 400]


def test_few_pictures_are_judged_once():
    found = race("nano,vgg16:none", count=110, nano=3.0, vgg16=0.0)
    assert found.rounds == [110]
    assert len(found.running) == 2
    assert found.out == []


def test_two_of_the_best_are_tried_side_by_side_at_the_larger_size_with_what_both_cost():
    found = race("nano,mobilenet", nano=1.2, mobilenet=1.2)
    board = rank(found.running, found.out, found.workshop)
    (pair,) = [row for row in board.rows if len(row.backbones) == 2]
    assert set(pair.name.split(" + ")) == {"nano@224", "mobilenet"}
    assert pair.image_size == 224
    assert pair.pictures_per_second == pytest.approx(1 / (1 / 400 + 1 / 390))
    assert pair.parameters == 2000
    assert pair.accuracy > max(board.rows[1].accuracy, board.rows[2].accuracy)
    assert pair.command.startswith("headstart train photos --ensemble ")
    assert "--image-size" not in pair.command


def test_the_best_single_backbone_is_there_in_the_end_even_if_two_together_are_clearly_better():
    found = race("nano,mobilenet", nano=1.2, mobilenet=0.8)
    rows = {row.name: row for row in rank(found.running, found.out, found.workshop).rows}
    pair = next(row for row in rows.values() if len(row.backbones) == 2)
    assert rows["nano"].in_the_end
    assert rows["nano"].behind.name == pair.name
    assert rows["nano"].behind.high < 0


def test_only_what_one_command_can_train_is_paired():
    found = race("nano,nano@64,mobilenet:none", nano=2.0, mobilenet=2.0)
    assert all(len(contender.members) == 1 for contender in [*found.running, *found.out])


def test_pairs_that_come_to_the_same_are_tried_once():
    found = race("nano,nano@64,mobilenet", nano=2.0, mobilenet=2.0)
    pairs = [contender for contender in [*found.running, *found.out] if contender.is_ensemble]
    assert len(pairs) == 1


def test_what_cannot_be_had_does_not_lose_the_others():
    found = race("nano,vgg16:missing.h5", nano=2.0)
    assert names(found) == ["nano"]
    assert {str(entry): reason for entry, reason in found.workshop.left_out.items()} == {
        "vgg16:missing.h5": "no such weights file: missing.h5."
    }


def test_if_none_can_be_had_that_is_an_error_with_all_reasons():
    with pytest.raises(WeightsError) as caught:
        race("nano:missing.h5,vgg16:missing.h5")
    assert str(caught.value) == (
        "none of the backbones can be had. nano:missing.h5: no such weights file: missing.h5. "
        "vgg16:missing.h5: no such weights file: missing.h5."
    )


def test_what_cannot_be_decoded_is_judged_for_nobody():
    found = race("nano,mobilenet", broken=("3.jpg", "7.jpg"), nano=2.0, mobilenet=2.0)
    assert found.rounds[-1] == 398
    assert {contender.verdict.judged for contender in found.running} == {398}


def test_if_nothing_can_be_decoded_that_is_an_error():
    with pytest.raises(DataError) as caught:
        race("nano", count=40, broken=tuple(f"{number}.jpg" for number in range(40)), nano=2.0)
    assert str(caught.value) == "none of the 40 pictures to learn from can be decoded."


def test_the_same_race_ends_the_same_way_twice():
    first, second = (race("nano,vgg16:none", nano=1.5, vgg16=1.4) for _ in range(2))
    assert [c.verdict.accuracy for c in first.running] == [c.verdict.accuracy for c in second.running]
    assert names(first) == names(second)


def test_the_command_takes_the_choices_along_that_decide_what_is_trained():
    found = race("nano@64:none", nano=2.0)
    found.workshop.recipe = Recipe("my photos", strategy="head", val=0.3, seed=7, group_by="{group}_*", precision="f32")
    (row,) = rank(found.running, found.out, found.workshop).rows
    assert row.command == (
        "headstart train 'my photos' --backbone nano --weights none --image-size 64 --strategy head "
        "--group-by '{group}_*' --val 0.3 --seed 7 --precision f32 --out RUN"
    )

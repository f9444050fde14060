"""The whole comparison, read aloud: find the pictures, race on ever more of them, pair the best, write down who won."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from headstart.comparing.comparison import Comparison, in_words
from headstart.comparing.contenders import Contender, Workshop, decoded_by_all, judged
from headstart.comparing.entries import SAMPLE, Entry, refuse_twice
from headstart.comparing.judging import Pool, Trial
from headstart.comparing.leaderboard import rank
from headstart.comparing.racing import hopeless, sizes
from headstart.errors import DataError, WeightsError
from headstart.features.engine import LOCAL, Engine
from headstart.features.store import Store
from headstart.images.dataset import make_dataset
from headstart.images.given import shares_of
from headstart.images.pictures import Listing
from headstart.models.backbones import backbones, find_backbone
from headstart.models.cached import split_by_cached
from headstart.progress import bar
from headstart.recipe import Recipe

_PAIRS = 3
"""So many pairs at most are tried side by side: the best one with the others, the better ones first."""

_PER_CLASS = 10
"""Pictures of each class on average in the first round, where classes are many."""


def run_compare(
    recipe: Recipe,
    entries: Sequence[Entry],
    listing: Listing,
    all_cached: bool = False,
    sample: int = SAMPLE,
    show: bool = False,
    engine: Engine = LOCAL,
) -> Comparison:
    """Compare backbones on the pictures to learn from.

    Args:
        recipe: what all have in common; its strategy is `head`.
        entries: the backbones.
        listing: the pictures.
        all_cached: whether all backbones are compared, too, whose ImageNet weights are on this machine.
        sample: pictures that all are judged on first.
        show: whether to draw progress bars.
        engine: who reads the pictures and runs backbones over them.

    Raises:
        InputError: if anything that was given cannot be used.
    """
    started = time.perf_counter()
    names = ",".join(dict.fromkeys(entry.backbone for entry in entries))
    replace(recipe, backbone=names or recipe.backbone).check(backbones())
    chosen, not_cached = _chosen(entries, all_cached)
    store = Store()
    store.prepare()
    pool = _pool(recipe, listing, store, show, engine)
    race = Race(Workshop(recipe, listing, store, show, engine), pool)
    race.run(chosen, max(sample, _PER_CLASS * len(listing.pictured)))
    board, computed = rank(race.running, race.out, race.workshop), race.workshop.computed.values()
    return Comparison(
        data=recipe.data,
        pictures=board.best.pictures,
        classes=len(np.unique(pool.labels)),
        rounds=tuple(race.rounds),
        rows=board.rows,
        left_out={str(entry): reason for entry, reason in race.workshop.left_out.items()},
        not_cached=not_cached,
        quarantined=len(pool) - board.best.pictures,
        extracted=sum(part.extracted for part in computed),
        reused=sum(len(part.kept.digests) - part.extracted for part in computed),
        recommended=board.choice.name,
        sentence=in_words(board.rows, board.choice),
        seconds=time.perf_counter() - started,
    )


def _chosen(entries: Sequence[Entry], all_cached: bool) -> tuple[list[Entry], tuple[str, ...]]:
    """The entries, none of them twice under two names, and what has no weights here."""
    plain = []
    for entry in entries:
        native = find_backbone(entry.backbone).size
        plain.append(replace(entry, size=None if entry.size == native else entry.size))
    refuse_twice(plain)
    if not all_cached:
        return plain, ()
    named = {entry.backbone for entry in plain}
    cached, others = split_by_cached(backbones().values())
    plain += [entry for backbone in cached if (entry := Entry(backbone.name)) not in plain]
    return plain, tuple(backbone.name for backbone in others if backbone.name not in named)


def _pool(recipe: Recipe, listing: Listing, store: Store, show: bool, engine: Engine) -> Pool:
    """The pictures that a training would learn from: nothing is chosen on those for validation and testing."""
    with bar("looking at the pictures", len(listing.pictures), "pictures", show) as advance:
        digests, _ = engine.digests([picture.path for picture in listing.pictures], store.stat_cache, advance)
    return Pool.of(make_dataset(listing, digests, shares_of(recipe)).side("train"), recipe.seed)


@dataclass
class Race:
    """Backbones on their way from few pictures to all.

    Attributes:
        workshop: runs them.
        pool: the pictures.
        rounds: how many pictures each round had.
        running: who can still win.
        out: who cannot, the last one first.
    """

    workshop: Workshop
    pool: Pool
    rounds: list[int] = field(default_factory=list)
    running: list[Contender] = field(default_factory=list)
    out: list[Contender] = field(default_factory=list)

    def run(self, entries: Sequence[Entry], first: int) -> None:
        """Judge all on few pictures, and those that can still win on more, until that is all of them.

        Raises:
            WeightsError: if none of them can be had.
            DataError: if there are too few pictures.
        """
        total = len(self.pool)
        for count in sizes(first, total):
            if len(self.running) == 1 and count < total:
                continue  # it has won, and only its figures on all pictures are wanted
            teams = [contender.members for contender in self.running] or [(entry,) for entry in entries]
            self._round(teams, count, pairs=not self.rounds)
            if count < total:
                self._put_out(count / total)

    def _round(self, teams: Sequence[tuple[Entry, ...]], count: int, pairs: bool = False) -> None:
        paths = self.pool.paths[:count]
        there = self._extract(dict.fromkeys(entry for team in teams for entry in team), paths)
        if not there:
            raise WeightsError(f"none of the backbones can be had. {' '.join(self._reasons())}")
        trial = self._trial(there, paths)
        self.running = self._judge([team for team in teams if set(team) <= set(there)], trial)
        if pairs and (paired := self._pairs()):
            there += self._extract(
                dict.fromkeys(entry for pair in paired for entry in pair if entry not in there), paths
            )
            usable = [pair for pair in paired if set(pair) <= set(there) and self._has_all(pair, trial)]
            self.running += self._judge(usable, trial)
        self.rounds.append(len(trial.paths))

    def _extract(self, entries: dict[Entry, None], paths: Sequence[str]) -> list[Entry]:
        return [entry for entry in entries if self.workshop.run(entry, paths)]

    def _reasons(self) -> list[str]:
        return [f"{entry}: {reason}" for entry, reason in self.workshop.left_out.items()]

    def _trial(self, entries: Sequence[Entry], paths: Sequence[str]) -> Trial:
        rows = decoded_by_all([self.workshop.computed[entry] for entry in entries], paths)
        if not len(rows):
            raise DataError(f"none of the {len(paths)} pictures to learn from can be decoded.")
        return self.pool.trial(rows, self.workshop.recipe.seed)

    def _has_all(self, team: tuple[Entry, ...], trial: Trial) -> bool:
        """Whether what could be decoded for the others could be for these, in their size, too."""
        return len(decoded_by_all([self.workshop.computed[entry] for entry in team], trial.paths)) == len(trial.paths)

    def _judge(self, teams: Sequence[tuple[Entry, ...]], trial: Trial) -> list[Contender]:
        return [judged(team, self.workshop.computed, trial, self.workshop.show) for team in teams]

    def _pairs(self) -> list[tuple[Entry, ...]]:
        """Every two of the best that `train --ensemble` can fuse: with one kind of weights, at the larger size."""
        ranked = sorted(self.running, key=lambda one: (-one.verdict.accuracy, one.verdict.loss))
        found: dict[frozenset[Entry], tuple[Entry, ...]] = {}
        for one, other in combinations([contender.members[0] for contender in ranked], 2):
            if one.backbone != other.backbone and one.weights == other.weights and one.weights in ("imagenet", "none"):
                size = max(self.workshop.size_of(one), self.workshop.size_of(other))
                pair = tuple(self.workshop.at_size(entry, size) for entry in (one, other))
                found.setdefault(frozenset(pair), pair)
        return list(found.values())[:_PAIRS]

    def _put_out(self, share: float) -> None:
        """Single backbones are put out by single ones, so that the best of them is there in the end; pairs by all."""
        alone = [contender for contender in self.running if not contender.is_ensemble]
        losers = {id(one): other for one, other in self._beaten(alone, share)}
        losers |= {id(one): other for one, other in self._beaten(self.running, share) if one.is_ensemble}
        for contender in self.running:
            contender.beaten_by = losers.get(id(contender))
        ranked = sorted((c for c in self.running if c.beaten_by), key=lambda one: -one.verdict.accuracy)
        self.out = [*ranked, *self.out]
        self.running = [contender for contender in self.running if contender.beaten_by is None]

    @staticmethod
    def _beaten(contenders: Sequence[Contender], share: float) -> list[tuple[Contender, Contender]]:
        verdicts = [contender.verdict for contender in contenders]
        speeds = [contender.cost.pictures_per_second for contender in contenders]
        return [(contenders[one], contenders[other]) for one, other in hopeless(verdicts, speeds, share).items()]

"""Which pictures are kept aside for validation and for testing.

The side follows from the seed and the picture's content, or its group, alone. So exact duplicates land on the same
side, a renamed picture stays where it was, and adding pictures moves (nearly) nobody across.
"""

import hashlib
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat

from headstart.images.pictures import Side
from headstart.specs import Fold


@dataclass(frozen=True)
class Shares:
    """How pictures are divided.

    Attributes:
        val: the share of validation pictures, from 0 to below 1; not used where there are folds.
        test: the share of test pictures, from 0 to below 1 - `val`; None for no test part.
        seed: another seed gives another split.
        fold: which fold is for validation; None for a share.
        known: the side of each digest that was split before; others are drawn.
    """

    val: float
    test: float | None = None
    seed: int = 0
    fold: Fold | None = None
    known: Mapping[str, Side] = field(default_factory=dict)


def split_by_content(labels: Sequence[str], digests: Sequence[str], shares: Shares) -> list[Side]:
    """Assign each picture to `train`, `val` or `test`, class by class.

    Each content draws a number from 0 to 1. It goes to `val` when that is below `val`, and to `test` when it is at
    least 1 - `test`: so asking for a test part takes pictures from the others and moves none between these. In a
    small class chance could leave a side empty or lopsided, so each share is held between half and one and a half
    times what was asked for, and at least one picture; only there can growth move a picture. One is left to learn from
    in any case: where there are not enough for all three, the test part is what goes short.

    Folds are stretches of what is not for testing, equally long; where chance leaves one of them lopsided, they have
    equally many pictures instead. Over all folds every picture is in `val` once, if there are two of its class.

    Args:
        labels: the class of each picture.
        digests: the digest of each picture's bytes.
        shares: how they are divided.

    Returns:
        The side of each picture, in the order given. A class of which there is only one content has it on `train`.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    for label, digest in zip(labels, digests, strict=True):
        by_class[label].add(digest)
    sides = {label: _sides_of(contents, shares) for label, contents in by_class.items()}
    return [sides[label][digest] for label, digest in zip(labels, digests, strict=True)]


def split_by_group(
    labels: Sequence[str], digests: Sequence[str], groups: Sequence[str | None], shares: Shares
) -> list[Side]:
    """Assign each picture to `train`, `val` or `test`, together with all pictures of its group.

    Groups that have a picture in common are one. Shares are of groups, held as `split_by_content` holds those of
    pictures. A class that would have nothing to check on gets the group of it that was nearest to that side, if another
    one is left to learn from; one that would have nothing to learn from gets one back. Where there are folds, nothing
    is moved to one for that: every group is in `val` once.

    Args:
        labels: the class of each picture.
        digests: the digest of each picture's bytes.
        groups: the group of each picture; None for one that belongs to nobody.
        shares: how they are divided.

    Returns:
        The side of each picture, in the order given. A class of one group only has it on `train`.
    """
    units = undivided(digests, groups)
    sides = _sides_of(set(units), shares)
    of_class: dict[str, set[str]] = defaultdict(set)
    for label, unit in zip(labels, units, strict=True):
        of_class[label].add(unit)
    in_order = {
        label: sorted(of_class[label], key=lambda unit: (_draw(unit, shares.seed), unit)) for label in sorted(of_class)
    }
    for nearest in in_order.values():
        if shares.fold is None:
            _complete(sides, nearest, "val", shares.val)
        _complete(sides, nearest[::-1], "test", shares.test or 0.0)
    for nearest in in_order.values():
        if not any(sides[unit] == "train" for unit in nearest):
            on_val = [unit for unit in nearest if sides[unit] == "val"]
            sides[on_val[-1] if on_val else nearest[0]] = "train"
    return [sides[unit] for unit in units]


def undivided(digests: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """What cannot be divided, for each picture: the first of the groups it is tied to, or else its content."""
    above: dict[tuple[bool, str], tuple[bool, str]] = {}

    def top(node: tuple[bool, str]) -> tuple[bool, str]:
        while above.setdefault(node, node) != node:
            above[node] = node = above[above[node]]
        return node

    for digest, group in zip(digests, groups, strict=True):
        if group is not None:
            # Groups, which begin with False, come before contents, so the top of what is tied together is a group.
            low, high = sorted((top((False, group)), top((True, digest))))
            above[high] = low
    return [("content " if is_content else "group ") + name for is_content, name in (top((True, d)) for d in digests)]


def _complete(sides: dict[str, Side], nearest_first: Sequence[str], side: Side, share: float) -> None:
    """Give a class something on a side, if it can spare it."""
    if share == 0 or any(sides[unit] == side for unit in nearest_first):
        return
    learned = [unit for unit in nearest_first if sides[unit] == "train"]
    if len(learned) > 1:
        sides[learned[0]] = side


def _sides_of(contents: set[str], shares: Shares) -> dict[str, Side]:
    drawn = sorted((_draw(digest, shares.seed), digest) for digest in contents)
    draws = [draw for draw, _ in drawn]
    test = shares.test or 0.0
    most = len(draws) - 1
    lowest = min(1, most) if shares.fold else _held(bisect_left(draws, shares.val), shares.val, len(draws), most)
    highest = _held(len(draws) - bisect_left(draws, 1 - test), test, len(draws), most - lowest)
    rest = len(draws) - highest
    first, last = (0, lowest) if shares.fold is None else _stretch([d / (1 - test) for d in draws[:rest]], shares.fold)
    counts: list[tuple[Side, int]] = [
        ("train", first),
        ("val", last - first),
        ("train", rest - last),
        ("test", highest),
    ]
    sides = chain.from_iterable(repeat(side, count) for side, count in counts)
    return {digest: side for (_, digest), side in zip(drawn, sides, strict=True)}


def _stretch(draws: Sequence[float], fold: Fold) -> tuple[int, int]:
    """Where one fold begins and ends among sorted numbers from 0 to 1."""
    if len(draws) < 2:
        return 0, 0
    ends = [bisect_left(draws, number / fold.of) for number in range(fold.of)] + [len(draws)]
    usual = len(draws) / fold.of
    if any(not usual / 2 <= end - start <= usual * 1.5 for start, end in pairwise(ends)):
        ends = [len(draws) * number // fold.of for number in range(fold.of + 1)]
    return ends[fold.number - 1], ends[fold.number]


def _held(count: int, share: float, total: int, room: int) -> int:
    """The number of pictures for a side, held near its share and within the room there is."""
    if share == 0:
        return 0
    low, high = max(1, math.floor(share * total / 2)), math.ceil(share * total * 1.5)
    return min(max(count, low), high, room)


def _draw(digest: str, seed: int) -> float:
    """A number in [0, 1) that is the same for this content and seed on every machine."""
    mixed = hashlib.blake2b(f"{seed}:{digest}".encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(mixed, "big") / 2**64

"""Which pictures are kept aside for validation and for testing.

The side follows from the seed and the picture's content, or its group, alone. So exact duplicates land on the same
side, a renamed picture stays where it was, and adding pictures moves (nearly) nobody across.
"""

import hashlib
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, repeat

from headstart.images.pictures import Side


def split_by_content(
    labels: Sequence[str], digests: Sequence[str], val: float, seed: int, test: float = 0.0
) -> list[Side]:
    """Assign each picture to `train`, `val` or `test`, class by class.

    Each content draws a number from 0 to 1. It goes to `val` when that is below `val`, and to `test` when it is at
    least 1 - `test`: so asking for a test part takes pictures from the others and moves none between these. In a
    small class chance could leave a side empty or lopsided, so each share is held between half and one and a half
    times what was asked for, and at least one picture; only there can growth move a picture. One is left to learn from
    in any case: where there are not enough for all three, the test part is what goes short.

    Args:
        labels: the class of each picture.
        digests: the digest of each picture's bytes.
        val: the share of validation pictures, from 0 to below 1.
        seed: another seed gives another split.
        test: the share of test pictures, from 0 to below 1 - `val`.

    Returns:
        The side of each picture, in the order given. A class of which there is only one content has it on `train`.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    for label, digest in zip(labels, digests, strict=True):
        by_class[label].add(digest)
    sides = {label: _sides_of(contents, val, test, seed) for label, contents in by_class.items()}
    return [sides[label][digest] for label, digest in zip(labels, digests, strict=True)]


def split_by_group(
    labels: Sequence[str],
    digests: Sequence[str],
    groups: Sequence[str | None],
    val: float,
    seed: int,
    test: float = 0.0,
) -> list[Side]:
    """Assign each picture to `train`, `val` or `test`, together with all pictures of its group.

    Groups that have a picture in common are one. Shares are of groups, held as `split_by_content` holds those of
    pictures. A class that would have nothing to check on gets the group of it that was nearest to that side, if another
    one is left to learn from; one that would have nothing to learn from gets one back.

    Args:
        labels: the class of each picture.
        digests: the digest of each picture's bytes.
        groups: the group of each picture; None for one that belongs to nobody.
        val: the share of validation groups, from 0 to below 1.
        seed: another seed gives another split.
        test: the share of test groups, from 0 to below 1 - `val`.

    Returns:
        The side of each picture, in the order given. A class of one group only has it on `train`.
    """
    units = _units(digests, groups)
    sides = _sides_of(set(units), val, test, seed)
    of_class: dict[str, set[str]] = defaultdict(set)
    for label, unit in zip(labels, units, strict=True):
        of_class[label].add(unit)
    in_order = {
        label: sorted(of_class[label], key=lambda unit: (_draw(unit, seed), unit)) for label in sorted(of_class)
    }
    for nearest in in_order.values():
        _complete(sides, nearest, "val", val)
        _complete(sides, nearest[::-1], "test", test)
    for nearest in in_order.values():
        if not any(sides[unit] == "train" for unit in nearest):
            on_val = [unit for unit in nearest if sides[unit] == "val"]
            sides[on_val[-1] if on_val else nearest[0]] = "train"
    return [sides[unit] for unit in units]


def _units(digests: Sequence[str], groups: Sequence[str | None]) -> list[str]:
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


def _sides_of(contents: set[str], val: float, test: float, seed: int) -> dict[str, Side]:
    drawn = sorted((_draw(digest, seed), digest) for digest in contents)
    draws = [draw for draw, _ in drawn]
    lowest = _held(bisect_left(draws, val), val, len(draws), len(draws) - 1)
    highest = _held(len(draws) - bisect_left(draws, 1 - test), test, len(draws), len(draws) - 1 - lowest)
    counts: dict[Side, int] = {"val": lowest, "train": len(draws) - lowest - highest, "test": highest}
    sides = chain.from_iterable(repeat(side, count) for side, count in counts.items())
    return {digest: side for (_, digest), side in zip(drawn, sides, strict=True)}


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

"""Which pictures are kept aside for validation and for testing.

The side follows from the picture's content and the seed alone. So exact duplicates land on the same side, a
renamed picture stays where it was, and adding pictures moves (nearly) nobody across.
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
    mixed = hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest()
    return int.from_bytes(mixed, "big") / 2**64
